"""The operator's desk for editions: who got one, who did not and why; pause, resume, cancel."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.db.models import Count, Model, Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from newsletter import breaker, editions
from newsletter.models import Chunk, Delivery, DeliveryEvent, Edition, EditionPaper, ProviderState
from papers.models import Paper
from papers.read_only import ReadOnly

State = Delivery.State

# The columns of the list of editions, each a group of states.
GROUPS = {
    "sent": [State.ACCEPTED, State.DELIVERED],
    "returned": [State.BOUNCED, State.COMPLAINED],
    "skipped": [State.SKIPPED],
    "failed": [State.FAILED],
    "unknown": [State.UNKNOWN],
    "waiting": [*Delivery.OPEN, State.SENDING],
}


def _column(group: str) -> Callable[[Edition], str]:
    @admin.display(description=group, ordering=group)
    def count(edition: Edition) -> str:
        return str(getattr(edition, group))

    return count


def _list_of(model: type[Model], **filters: str | int) -> str:
    """Return the address of a model's list in admin, filtered."""
    return f"{reverse(f'admin:{model._meta.app_label}_{model._meta.model_name}_changelist')}?{urlencode(filters)}"


@admin.register(Edition)
class EditionAdmin(ReadOnly, admin.ModelAdmin[Edition]):
    """What became of each edition; its papers and its deliveries are a click away."""

    list_display = ["date", "state", "new_count", *map(_column, GROUPS), "closed_at"]
    list_filter = ["state"]
    date_hierarchy = "date"
    actions = ["pause", "resume", "cancel"]
    fields = [
        "date",
        "state",
        "scheduled_at",
        "closed_at",
        "new_count",
        "checked",
        "outcomes",
        "last_error",
        "all_papers",
    ]
    readonly_fields = ["checked", "outcomes", "last_error", "all_papers"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Edition]:
        counts = {
            group: Count("deliveries", filter=Q(deliveries__state__in=states)) for group, states in GROUPS.items()
        }
        return super().get_queryset(request).annotate(**counts)

    def has_send_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("newsletter.send_edition")

    @admin.display(description=_("what was checked"))
    def checked(self, edition: Edition) -> SafeString:
        return format_html_join(
            "",
            "<div>{}: {}, {} new, {}</div>",
            ((n["source"], n["status"], n["new"], n["fetched_at"]) for n in edition.coverage),
        )

    @admin.display(description=_("readers by outcome"))
    def outcomes(self, edition: Edition) -> SafeString:
        """Count the readers by state and reason, each number with the link that says who they are."""
        rows = (
            edition.deliveries.order_by().values_list("state", "reason").annotate(count=Count("pk")).order_by("state")
        )
        return format_html_join(
            "",
            '<div><a href="{}">{} {}{}</a></div>',
            (
                (
                    _list_of(Delivery, edition__id__exact=edition.pk, state__exact=state, reason__exact=reason),
                    count,
                    State(state).label,
                    f", {Delivery.Reason(reason).label}" if reason else "",
                )
                for state, reason, count in rows
            ),
        )

    @admin.display(description=_("last error"))
    def last_error(self, edition: Edition) -> str:
        delivery = edition.deliveries.exclude(error="").order_by("-sending_at").first()
        return delivery.error if delivery else "–"

    @admin.display(description=_("papers"))
    def all_papers(self, edition: Edition) -> SafeString:
        return format_html(
            '<a href="{}">{}</a>', _list_of(EditionPaper, edition__id__exact=edition.pk), _("All papers, by rank")
        )

    @admin.action(description=_("Pause sending"), permissions=["send"])
    def pause(self, request: HttpRequest, queryset: QuerySet[Edition]) -> None:
        self._act(request, queryset, editions.pause)

    @admin.action(description=_("Go on sending"), permissions=["send"])
    def resume(self, request: HttpRequest, queryset: QuerySet[Edition]) -> None:
        self._act(request, queryset, editions.resume)

    @admin.action(description=_("Cancel: send it to nobody else"), permissions=["send"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[Edition]) -> None:
        self._act(request, queryset, editions.cancel)

    def _act(self, request: HttpRequest, queryset: QuerySet[Edition], act: Callable[[Edition], bool]) -> None:
        done = [edition for edition in queryset if act(edition)]
        for edition in done:
            self.log_change(request, edition, act.__name__)
        said = ngettext("%(n)d edition changed.", "%(n)d editions changed.", len(done)) % {"n": len(done)}
        self.message_user(request, said, messages.SUCCESS if done else messages.WARNING)


@admin.register(EditionPaper)
class EditionPaperAdmin(ReadOnly, admin.ModelAdmin[EditionPaper]):
    """The papers of an edition as it closed."""

    list_display = ["rank", "edition", "title", "role", "new_on", "takes_off", "score", "upvotes"]
    list_filter = ["role", "takes_off", "edition__date"]
    list_select_related = ["edition", "paper"]
    search_fields = ["paper__arxiv_id", "paper__title"]
    ordering = ["-edition__date", "rank"]

    @admin.display(description=_("paper"))
    def title(self, row: EditionPaper) -> str:
        return Truncator(row.paper.title).chars(80)


class DeliveryEventInline(ReadOnly, admin.TabularInline[DeliveryEvent, Delivery]):
    model = DeliveryEvent
    fields = ["occurred_at", "kind", "reason", "detail", "provider"]


@admin.register(Delivery)
class DeliveryAdmin(ReadOnly, admin.ModelAdmin[Delivery]):
    """What became of each reader's digest. Its token is shown to nobody: it opens the reader's preferences."""

    list_display = ["edition", "reader", "state", "reason", "local_date", "attempt", "accepted_at", "short_error"]
    list_filter = ["state", "reason", "edition__date"]
    list_select_related = ["edition", "subscriber"]
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
        return ["subscriber__email"] if _sees_addresses(request) else []

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
    list_display = ["edition", "number", "owner", "leased_until", "attempts"]
    list_filter = ["edition__date"]
    list_select_related = ["edition"]


@admin.register(DeliveryEvent)
class DeliveryEventAdmin(ReadOnly, admin.ModelAdmin[DeliveryEvent]):
    """What providers reported, also about mails that were not ours."""

    list_display = ["occurred_at", "kind", "reason", "provider", "provider_message_id", "is_ours"]
    list_filter = ["kind", "reason", "provider"]
    date_hierarchy = "occurred_at"
    show_full_result_count = False
    exclude = ["key", "delivery", "mail"]

    @admin.display(boolean=True, description=_("ours"))
    def is_ours(self, event: DeliveryEvent) -> bool:
        return bool(event.delivery_id or event.mail_id)


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
