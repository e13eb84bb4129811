"""The operator's desk for editions: who got one, who did not and why; pause, resume, cancel, send."""

from collections.abc import Callable

from django.contrib import admin, messages
from django.contrib.auth.models import AbstractUser
from django.db.models import Count, Exists, Model, OuterRef, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from newsletter import control, proofs
from newsletter.models import Delivery, Edition, EditionPaper
from papers.read_only import ReadOnly
from subscribers.models import Subscriber

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


def list_of(model: type[Model], **filters: str | int) -> str:
    """Return the address of a model's list in admin, filtered."""
    return f"{reverse(f'admin:{model._meta.app_label}_{model._meta.model_name}_changelist')}?{urlencode(filters)}"


@admin.register(Edition)
class EditionAdmin(ReadOnly, admin.ModelAdmin[Edition]):
    """What became of each edition; its papers and its deliveries are a click away."""

    change_form_template = "admin/newsletter/with_buttons.html"

    list_display = ["date", "state", "new_count", *map(_column, GROUPS), "closed_at"]
    list_filter = ["state"]
    date_hierarchy = "date"
    actions = ["pause", "resume", "cancel"]
    fields = [
        *("date", "state", "scheduled_at", "closed_at", "planned_until", "new_count", "checked"),
        *("outcomes", "not_yet_due", "last_error", "tests", "all_papers"),
    ]
    readonly_fields = ["checked", "outcomes", "not_yet_due", "last_error", "tests", "all_papers"]

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
                    list_of(Delivery, edition__id__exact=edition.pk, state__exact=state, reason__exact=reason),
                    count,
                    State(state).label,
                    f", {Delivery.Reason(reason).label}" if reason else "",
                )
                for state, reason, count in rows
            ),
        )

    @admin.display(description=_("no outcome yet"))
    def not_yet_due(self, edition: Edition) -> str:
        """Count who is active and has no row: their hour has not come, or they had the digest of their day."""
        if Edition.objects.filter(closed_at__isnull=False, date__gt=edition.date).exists():
            return "–"
        has_row = Delivery.objects.filter(edition=edition, subscriber=OuterRef("pk"))
        return str(Subscriber.objects.active().filter(~Exists(has_row)).count())

    @admin.display(description=_("tests to operators"))
    def tests(self, edition: Edition) -> SafeString | str:
        """List the newest tests; the addresses are those of operators."""
        rows = [
            (f"{one.created_at:%Y-%m-%d %H:%M}", one.email, one.outcome or _("waits"))
            for one in edition.proofs.all()[:5]
        ]
        return format_html_join("", "<div>{} {}: {}</div>", rows) or "–"

    @admin.display(description=_("last error"))
    def last_error(self, edition: Edition) -> str:
        delivery = edition.deliveries.exclude(error="").order_by("-sending_at").first()
        return delivery.error if delivery else "–"

    @admin.display(description=_("papers"))
    def all_papers(self, edition: Edition) -> SafeString:
        return format_html(
            '<a href="{}">{}</a>', list_of(EditionPaper, edition__id__exact=edition.pk), _("All papers, by rank")
        )

    @admin.action(description=_("Pause sending"), permissions=["send"])
    def pause(self, request: HttpRequest, queryset: QuerySet[Edition]) -> None:
        self._act(request, queryset, control.pause)

    @admin.action(description=_("Go on sending"), permissions=["send"])
    def resume(self, request: HttpRequest, queryset: QuerySet[Edition]) -> None:
        self._act(request, queryset, control.resume)

    @admin.action(description=_("Cancel: send it to nobody else"), permissions=["send"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[Edition]) -> None:
        self._act(request, queryset, control.cancel)

    def _act(self, request: HttpRequest, queryset: QuerySet[Edition], act: Callable[[Edition], bool]) -> None:
        done = [edition for edition in queryset if act(edition)]
        for edition in done:
            self.log_change(request, edition, act.__name__)
        said = ngettext("%(n)d edition changed.", "%(n)d editions changed.", len(done)) % {"n": len(done)}
        self.message_user(request, said, messages.SUCCESS if done else messages.WARNING)

    # The buttons of an edition's page -----------------------------------------------------------

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, object] | None = None
    ) -> HttpResponse:
        """Show the page, or do what one of its buttons says; nothing is sent here, workers act on the rows."""
        edition = self.get_object(request, object_id)
        if edition is None or not self.has_send_permission(request):
            return super().change_view(request, object_id, form_url, extra_context)
        if request.method == "POST":
            self._press(request, edition, request.POST.get("do", ""))
            return HttpResponseRedirect(request.path)
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), "buttons": buttons(edition)})

    def _press(self, request: HttpRequest, edition: Edition, name: str) -> None:
        said = press(edition, name, request.user) if name in BUTTONS else ""
        if said:
            self.log_change(request, edition, name)
        self.message_user(
            request,
            said or _("That cannot be done to this edition now."),
            messages.SUCCESS if said else messages.WARNING,
        )


BUTTONS = {
    "pause": _("Pause sending"),
    "resume": _("Go on sending"),
    "cancel": _("Cancel: send it to nobody else"),
    "send_the_rest": _("Send the rest now"),
    "send_again": _("Send the unknown ones again"),
    "test": _("Send a test to myself"),
}
DONE = {
    "pause": _("Paused: nothing more is handed over after the unit at hand."),
    "resume": _("The workers go on within a minute."),
    "cancel": _("Cancelled: who did not get it finds its papers in the next edition."),
    "send_the_rest": _("The workers send what is still open, from within a minute on."),
    "test": _("A test to %(email)s goes out with the next service mails; what became of it stands below."),
}


def buttons(edition: Edition) -> list[tuple[str, object]]:
    """Return what can be done to an edition as it stands, as (name, label)."""
    states = Edition.State
    can = {
        "pause": edition.state in control.RUNNING,
        "resume": edition.state == states.PAUSED,
        "cancel": edition.state in {*control.RUNNING, states.PAUSED},
        "send_the_rest": edition.state in {states.SENDING, states.PAUSED},
        "send_again": edition.deliveries.filter(state=State.UNKNOWN).exists(),
        "test": edition.closed_at is not None,
    }
    return [(name, label) for name, label in BUTTONS.items() if can[name]]


def press(edition: Edition, name: str, user: object) -> str:
    """Do what a button says; return what was done, or '' where it could not be."""
    if name == "send_again":
        count = control.send_again(edition.deliveries.all())
        said = ngettext("%(n)d digest is sent again.", "%(n)d digests are sent again.", count) % {"n": count}
        return said if count else ""
    if name == "test":
        email = user.email if isinstance(user, AbstractUser) else ""
        if not email:
            return str(_("Your log-in has no address: give it one under Users."))
        proofs.ask(edition, email)
        return str(DONE[name]) % {"email": email}
    act: dict[str, Callable[[Edition], bool]] = {
        "pause": control.pause,
        "resume": control.resume,
        "cancel": control.cancel,
        "send_the_rest": control.send_the_rest,
    }
    return str(DONE[name]) if act[name](edition) else ""


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
