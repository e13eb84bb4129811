"""The operator's desk for deliveries: who got one, who did not and why. Editions are in ``admin_editions``."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from newsletter import admin_editions, breaker, control, repeats
from newsletter.admin_buttons import Button, ask, concerned
from newsletter.admin_editions import GOT_IT
from newsletter.models import Alert, Chunk, Delivery, DeliveryEvent, ProviderState
from papers.models import Paper
from papers.read_only import ReadOnly

State = Delivery.State

__all__ = ["admin_editions"]  # registers itself

SEND_AGAIN = Button(
    "send_again",
    _("Send it again"),
    _("It may have gone: the reader may get the same digest twice."),
    _("Send again what may have gone? Whoever has it gets it twice."),
)


class GotItFilter(admin.SimpleListFilter):
    """Who got it, whatever the state is called."""

    title = _("got it")
    parameter_name = "got"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ARG002
        return [(name, name) for name in GOT_IT]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> QuerySet[Delivery]:  # noqa: ARG002
        states = GOT_IT.get(self.value() or "")
        return queryset.filter(state__in=states) if states else queryset


class DeliveryEventInline(ReadOnly, admin.TabularInline[DeliveryEvent, Delivery]):
    model = DeliveryEvent
    fields = ["occurred_at", "kind", "reason", "detail", "provider"]


@admin.register(Delivery)
class DeliveryAdmin(ReadOnly, admin.ModelAdmin[Delivery]):
    """What became of each reader's digest. Its token is shown to nobody: it opens the reader's preferences."""

    list_display = ["edition", "reader", "state", "reason", "short_error", "accepted_at", "attempt"]
    list_filter = [GotItFilter, "state", "reason", "edition__date"]
    change_form_template = "admin/newsletter/with_buttons.html"
    actions = ["send_again"]
    list_select_related = ["edition", "subscriber"]
    ordering = ["-pk"]  # the newest first, by the index there is
    show_full_result_count = False
    inlines = [DeliveryEventInline]
    fields = [
        *("edition", "reader", "state", "reason", "error", "covers_from", "local_date", "picked", "counts"),
        *("attempt", "next_attempt_at", "created_at", "sending_at", "accepted_at"),
        *("chunk", "message_id", "provider_message_id"),
    ]
    readonly_fields = ["reader", "masked_reader", "picked", "counts", "created_at"]

    def get_list_display(self, request: HttpRequest) -> Any:
        return _without_addresses(request, self.list_display)

    def get_fields(self, request: HttpRequest, obj: Delivery | None = None) -> Any:  # noqa: ARG002
        return _without_addresses(request, self.fields or ())

    def get_search_fields(self, request: HttpRequest) -> Any:
        """Search by the ids that stand in a mail's headers and at the provider; by address who may see it."""
        ids = ["=message_id", "=provider_message_id"]
        return [*ids, "subscriber__email"] if _sees_addresses(request) else ids

    def has_send_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("newsletter.send_edition")

    @admin.action(description=_("Send again what may have gone"), permissions=["send"])
    def send_again(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> HttpResponse | None:
        """Only unknown ones, while their edition is the newest: every other state says what became of it."""
        unknown = list(repeats.resendable(queryset))
        if unknown and SEND_AGAIN.is_to_be_asked(request):
            return ask(request, SEND_AGAIN, [concerned(len(unknown))], request.get_full_path())
        count = control.send_again(queryset)
        for delivery in unknown if count else []:
            self.log_change(request, delivery, "send_again")
        said = ngettext("%(n)d digest is sent again.", "%(n)d digests are sent again.", count) % {"n": count}
        nothing = _("None of these may be sent again: it is known what became of them, or a newer edition is closed.")
        self.message_user(request, said if count else nothing, messages.SUCCESS if count else messages.WARNING)
        return None

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, object] | None = None
    ) -> HttpResponse:
        """Show the page, with a button where this one may be sent again."""
        this = Delivery.objects.filter(pk=object_id) if object_id.isdigit() else Delivery.objects.none()
        if not self.has_send_permission(request):
            return super().change_view(request, object_id, form_url, extra_context)
        if request.method == "POST":
            return self.send_again(request, this) or HttpResponseRedirect(request.path)
        buttons = [SEND_AGAIN] if control.can_send_again(this) else []
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), "buttons": buttons})

    @admin.display(description=_("reader"), ordering="subscriber__email")
    def reader(self, delivery: Delivery) -> str:
        return delivery.subscriber.email

    @admin.display(description=_("reader"))
    def masked_reader(self, delivery: Delivery) -> str:
        return delivery.subscriber.masked_email

    @admin.display(description=_("error"))
    def short_error(self, delivery: Delivery) -> str:
        return Truncator(delivery.error).chars(60)

    @admin.display(description=_("papers"))
    def picked(self, delivery: Delivery) -> SafeString | str:
        """List the papers of the mail, each with the interests that it answers."""
        if not hasattr(delivery, "picks"):
            return "–"
        papers = Paper.objects.in_bulk(delivery.picks.paper_ids)
        return format_html_join(
            "",
            "<div>{}: {} <em>{}</em></div>",
            (
                (pick["section"], papers[pick["paper"]].title, ", ".join(why["interest"] for why in pick["why"]))
                for pick in delivery.picks.details
            ),
        )

    @admin.display(description=_("chosen from"))
    def counts(self, delivery: Delivery) -> str:
        if not hasattr(delivery, "picks"):
            return "–"
        return ", ".join(f"{n} {name.replace('_', ' ')}" for name, n in delivery.picks.counts.items())


def _sees_addresses(request: HttpRequest) -> bool:
    return request.user.has_perm("subscribers.view_subscriber")


def _without_addresses(request: HttpRequest, names: Any) -> list[Any]:
    """Show the masked address to who may see deliveries but not the readers' addresses."""
    if _sees_addresses(request):
        return list(names)
    return ["masked_reader" if name == "reader" else name for name in names]


@admin.register(Chunk)
class ChunkAdmin(ReadOnly, admin.ModelAdmin[Chunk]):
    """What one task works on, with whom it is, and how many of its digests are still to be sent."""

    list_display = ["edition", "number", "owner", "leased_until", "attempts", "left"]
    list_filter = [("owner", admin.EmptyFieldListFilter), "edition__date"]
    list_select_related = ["edition"]
    ordering = ["-edition", "number"]
    readonly_fields = ["left"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Chunk]:
        return super().get_queryset(request).annotate(left=admin_editions.count("chunk", GOT_IT["not yet"]))

    @admin.display(description=_("left"))
    def left(self, chunk: Chunk) -> int:
        return int(chunk.left)  # type: ignore[attr-defined]  # annotated


@admin.register(DeliveryEvent)
class DeliveryEventAdmin(ReadOnly, admin.ModelAdmin[DeliveryEvent]):
    """What providers reported, also about mails that were not ours."""

    list_display = ["occurred_at", "kind", "reason", "is_permanent", "provider", "about"]
    list_filter = ["kind", "reason", "is_permanent", "provider"]
    search_fields = ["=provider_message_id"]
    ordering = ["-pk"]  # as they came: there are many, and no index by their own time
    show_full_result_count = False
    exclude = ["key", "delivery", "mail"]
    readonly_fields = ["about"]

    @admin.display(description=_("about"))
    def about(self, event: DeliveryEvent) -> SafeString | str:
        if event.delivery_id:
            address = reverse("admin:newsletter_delivery_change", args=[event.delivery_id])
            return format_html('<a href="{}">{}</a>', address, _("a digest"))
        return str(_("a service mail") if event.mail_id else _("no mail of ours"))


@admin.register(ProviderState)
class ProviderStateAdmin(ReadOnly, admin.ModelAdmin[ProviderState]):
    """Whether the mail provider takes mails, and what it said when it did not."""

    list_display = ["name", "state", "opened_at", "retry_at", "failures", "error"]
    actions = ["try_now"]

    def has_send_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("newsletter.send_edition")

    @admin.action(description=_("Try it now, with one mail"), permissions=["send"])
    def try_now(self, request: HttpRequest, queryset: QuerySet[ProviderState]) -> None:
        count = breaker.try_now(queryset, timezone.now())
        said = ngettext("%(n)d provider is tried.", "%(n)d providers are tried.", count) % {"n": count}
        self.message_user(request, said, messages.SUCCESS if count else messages.WARNING)


@admin.register(Alert)
class AlertAdmin(ReadOnly, admin.ModelAdmin[Alert]):
    """What needed the operator, from when to when."""

    list_display = ["subject", "text", "began_at", "ended_at"]
    list_filter = ["subject"]
