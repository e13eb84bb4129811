"""The operator's desk for readers: find one, see what they agreed to, pause, block, ask again."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.text import Truncator
from django.utils.translation import gettext_lazy as _

from papers.read_only import ReadOnly
from subscribers import interests, signup
from subscribers.admin_forms import BlockForm, FollowForm, FollowFormSet, SubscriberForm
from subscribers.models import (
    MAX_FOLLOWS,
    Attempt,
    Consent,
    Follow,
    Interest,
    Mail,
    Subscriber,
    Suppression,
    Token,
    hash_address,
)

State = Subscriber.State


# Readers ----------------------------------------------------------------------------------------


class InterestFilter(admin.SimpleListFilter):
    """The interests that most readers follow; any other by the link in the list of interests."""

    title = _("interest")
    parameter_name = "interest"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ARG002
        popular = Interest.objects.annotate(followers=Count("follows")).order_by("-followers", "canonical")[:20]
        return [(str(row.pk), Truncator(row.canonical).chars(40)) for row in popular]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Subscriber]) -> QuerySet[Subscriber]:  # noqa: ARG002
        value = self.value() or ""
        return queryset.filter(follows__interest=int(value)) if value.isdecimal() else queryset


class FollowInline(admin.TabularInline[Follow, Subscriber]):
    model = Follow
    form = FollowForm
    formset = FollowFormSet  # type: ignore[assignment]  # the stubs know no form of one's own
    fields = ["wording", "is_starred", "is_muted", "weight"]
    readonly_fields = ["weight"]
    extra = 0
    max_num = MAX_FOLLOWS


class ConsentInline(ReadOnly, admin.TabularInline[Consent, Subscriber]):
    model = Consent
    fields = ["at", "kind", "network", "wording"]
    readonly_fields = ["at"]  # Django leaves it out otherwise: it sets the time itself
    ordering = ["at", "id"]


@admin.register(Subscriber)
class SubscriberAdmin(admin.ModelAdmin[Subscriber]):
    """Readers come and go by themselves; what only they may do is refused with the reason."""

    form = SubscriberForm
    list_display = ["email", "state", "follow_count", "frequency", "local_hour", "timezone", "created_at"]
    list_filter = ["state", "frequency", InterestFilter]
    search_fields = ["email"]
    search_help_text = _("An address, or a part of it")
    list_per_page = 50
    show_full_result_count = False
    actions = ["pause", "resume", "confirm_again", "suppress"]
    inlines = [FollowInline, ConsentInline]
    fieldsets = [
        (None, {"fields": ["email", "state", "paused_until"]}),
        (_("When"), {"fields": ["frequency", "weekday", "hour", "timezone"]}),
        (
            _("What"),
            {"fields": ["paper_count", "trending_weight", "wants_trending", "wants_trending_if_no_match"]},
        ),
        (None, {"fields": ["wants_late_notice"]}),
        (_("History"), {"fields": ["created_at", "confirmed_at", "unsubscribed_at"]}),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Subscriber]:
        # A subquery and not a join: FOR UPDATE takes no GROUP BY.
        follows = Follow.objects.filter(subscriber=OuterRef("pk")).order_by().values("subscriber")
        count = Subquery(follows.annotate(n=Count("pk")).values("n"))
        return super().get_queryset(request).annotate(interest_count=Coalesce(count, 0))

    def get_readonly_fields(self, request: HttpRequest, obj: Subscriber | None = None) -> list[str]:  # noqa: ARG002
        dates = ["created_at", "confirmed_at", "unsubscribed_at"]
        return [*dates, "email"] if obj else [*dates, "state", "paused_until"]

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Subscriber | None:
        """Hold the reader while a form is saved: who unsubscribes in that moment must not be overwritten."""
        subscriber = super().get_object(request, object_id, from_field)
        if subscriber and request.method == "POST":
            Subscriber.objects.select_for_update().get(pk=subscriber.pk)
            subscriber.refresh_from_db()
        return subscriber

    def save_model(self, request: HttpRequest, obj: Subscriber, form: Any, change: bool) -> None:
        """Save a reader; leaving goes the way that every leaving goes, adding asks for the confirmation."""
        is_leaving = change and obj.state == State.UNSUBSCRIBED != form.initial["state"]
        if is_leaving:
            obj.state = form.initial["state"]
        elif obj.state != State.PAUSED:
            obj.paused_until = None
        super().save_model(request, obj, form, change)
        if is_leaving:
            signup.unsubscribe(obj, timezone.now(), wording="the operator, in admin")
        if not change:
            self._ask_again(request, [obj])

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        """Write interests as readers' own pages do; Django would trip over two lines that swap their words."""
        if not isinstance(formset, FollowFormSet):
            super().save_formset(request, form, formset, change)
            return
        formset.new_objects, formset.changed_objects, formset.deleted_objects = [], [], []
        if formset.has_changed():
            rows = formset.rows()
            given_up = interests.replace_follows(
                form.instance,
                [row["wording"] for row in rows if not row["is_muted"]],
                [row["wording"] for row in rows if row["is_muted"]],
                {row["wording"] for row in rows if row["is_starred"]},
            )
            interests.delete_orphans(given_up)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """List what goes with a reader; that nobody may delete it by itself does not stand in the way."""
        to_delete, counts, _needed, protected = super().get_deleted_objects(objs, request)
        return to_delete, counts, set(), protected

    def delete_model(self, request: HttpRequest, obj: Subscriber) -> None:  # noqa: ARG002
        signup.forget(obj)
        interests.delete_orphans()

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Subscriber]) -> None:  # noqa: ARG002
        for subscriber in queryset:
            signup.forget(subscriber)
        interests.delete_orphans()

    @admin.display(description=_("interests"), ordering="interest_count")
    def follow_count(self, subscriber: Subscriber) -> int:
        return int(getattr(subscriber, "interest_count", 0))

    @admin.display(description=_("hour"), ordering="hour")
    def local_hour(self, subscriber: Subscriber) -> str:
        return f"{subscriber.hour:02}:00"

    @admin.action(description=_("Pause until resumed"), permissions=["change"])
    def pause(self, request: HttpRequest, queryset: QuerySet[Subscriber]) -> None:
        self._move(request, queryset, State.ACTIVE, State.PAUSED)

    @admin.action(description=_("Resume"), permissions=["change"])
    def resume(self, request: HttpRequest, queryset: QuerySet[Subscriber]) -> None:
        self._move(request, queryset, State.PAUSED, State.ACTIVE)

    @admin.action(description=_("Send the confirmation again"), permissions=["change"])
    def confirm_again(self, request: HttpRequest, queryset: QuerySet[Subscriber]) -> None:
        self._ask_again(request, list(queryset))

    @admin.action(description=_("Block: send nothing at all to these addresses"), permissions=["change"])
    def suppress(self, request: HttpRequest, queryset: QuerySet[Subscriber]) -> None:
        readers = list(queryset)
        reason = Suppression.Reason.OPERATOR
        Suppression.objects.bulk_create(
            [Suppression(address_hash=hash_address(reader.email), reason=reason) for reader in readers],
            ignore_conflicts=True,
        )
        self._log(request, readers, _("Blocked"))

    def _move(
        self, request: HttpRequest, queryset: QuerySet[Subscriber], from_state: str, to_state: Subscriber.State
    ) -> None:
        readers = list(queryset.filter(state=from_state))
        ids = [reader.pk for reader in readers]
        Subscriber.objects.filter(pk__in=ids, state=from_state).update(state=to_state, paused_until=None)
        self._log(request, readers, to_state.label)

    def _ask_again(self, request: HttpRequest, readers: list[Subscriber]) -> None:
        asked: list[Subscriber] = []
        try:
            for reader in readers:
                if signup.ask_to_confirm(reader, timezone.now()):
                    asked.append(reader)  # noqa: PERF401 - what was asked before the limit is reached counts
        except signup.TooManyRequestsError as error:
            minutes = error.retry_after_s // 60 + 1
            warning = _("The limit of mails in an hour is reached. Try the others again in %(minutes)s minutes.")
            self.message_user(request, warning % {"minutes": minutes}, messages.WARNING)
        self._log(request, asked, _("Confirmation on its way"))
        if len(asked) < len(readers):
            why = _("Left out: %(count)s who are not pending, or had enough mails within the hour.")
            self.message_user(request, why % {"count": len(readers) - len(asked)}, messages.WARNING)

    def _log(self, request: HttpRequest, readers: list[Subscriber], what: Any) -> None:
        if readers and request.user.pk is not None:
            LogEntry.objects.log_actions(request.user.pk, readers, CHANGE, str(what))
        self.message_user(request, f"{what}: {len(readers)}")


@admin.register(Interest)
class InterestAdmin(ReadOnly, admin.ModelAdmin[Interest]):
    list_display = ["canonical", "followers", "created_at"]
    search_fields = ["canonical"]
    show_full_result_count = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Interest]:  # noqa: ARG002
        return Interest.objects.annotate(follower_count=Count("follows"))

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:  # noqa: ARG002
        return ("-follower_count", "canonical")

    @admin.display(description=_("followers"), ordering="follower_count")
    def followers(self, interest: Interest) -> str:
        address = f"{reverse('admin:subscribers_subscriber_changelist')}?interest={interest.pk}"
        return format_html('<a href="{}">{}</a>', address, getattr(interest, "follower_count", 0))


@admin.register(Follow)
class FollowAdmin(ReadOnly, admin.ModelAdmin[Follow]):
    """Who asked for what, in their own words; a reader's page is the place to change it."""

    list_display = ["wording", "interest", "subscriber", "is_starred", "is_muted", "created_at"]
    list_filter = ["is_muted", "is_starred"]
    list_select_related = ["interest", "subscriber"]
    search_fields = ["wording", "interest__canonical"]
    show_full_result_count = False


# What was agreed, and who must not be mailed ------------------------------------------------------


@admin.register(Consent)
class ConsentAdmin(ReadOnly, admin.ModelAdmin[Consent]):
    list_display = ["at", "kind", "subscriber", "network"]
    list_filter = ["kind"]
    list_select_related = ["subscriber"]
    search_fields = ["subscriber__email"]
    date_hierarchy = "at"
    show_full_result_count = False


@admin.register(Suppression)
class SuppressionAdmin(admin.ModelAdmin[Suppression]):
    """Block an address by typing it, find one by searching for it, lift a block by deleting it."""

    form = BlockForm
    list_display = ["short_hash", "reason", "created_at"]
    list_filter = ["reason"]
    date_hierarchy = "created_at"
    search_fields = ["address_hash"]
    search_help_text = _("The whole address: only its fingerprint is stored")
    show_full_result_count = False

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Suppression], search_term: str
    ) -> tuple[QuerySet[Suppression], bool]:
        if "@" in search_term:
            return queryset.filter(address_hash=hash_address(search_term)), False
        return super().get_search_results(request, queryset, search_term)

    def has_change_permission(self, request: HttpRequest, obj: Suppression | None = None) -> bool:  # noqa: ARG002
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Suppression | None = None) -> bool:
        """Who left is brought back by their own sign-up alone, so that entry stays."""
        is_liftable = obj is None or obj.reason in Suppression.BLOCKING
        return is_liftable and super().has_delete_permission(request, obj)

    @admin.display(description=_("address"))
    def short_hash(self, suppression: Suppression) -> str:
        return f"{suppression.address_hash[:12]}…"


# What the machine keeps; no token is shown, and no HMAC that could be compared with a guess ------


@admin.register(Mail)
class MailAdmin(ReadOnly, admin.ModelAdmin[Mail]):
    list_display = ["created_at", "kind", "state", "subscriber", "attempt", "next_attempt_at", "short_error"]
    list_filter = ["state", "kind"]
    list_select_related = ["subscriber"]
    search_fields = ["subscriber__email"]
    date_hierarchy = "created_at"
    show_full_result_count = False
    fields = [
        *("subscriber", "kind", "state", "created_at", "attempt", "next_attempt_at", "leased_until"),
        *("accepted_at", "provider_message_id", "error"),
    ]

    @admin.display(description=_("error"))
    def short_error(self, mail: Mail) -> str:
        return Truncator(mail.error).chars(80)


@admin.register(Token)
class TokenAdmin(ReadOnly, admin.ModelAdmin[Token]):
    list_display = ["purpose", "subscriber", "expires_at", "used_at"]
    list_filter = ["purpose"]
    list_select_related = ["subscriber"]
    search_fields = ["subscriber__email"]
    show_full_result_count = False
    fields = ["purpose", "subscriber", "expires_at", "used_at"]


@admin.register(Attempt)
class AttemptAdmin(ReadOnly, admin.ModelAdmin[Attempt]):
    list_display = ["hour", "scope", "count"]
    list_filter = ["scope"]
    date_hierarchy = "hour"
    show_full_result_count = False
    fields = ["hour", "scope", "count"]
