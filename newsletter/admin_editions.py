"""The operator's desk for editions: who got one, who did not and why; pause, resume, cancel, send."""

from collections.abc import Callable, Iterable, Sequence

from django.contrib import admin, messages
from django.contrib.auth.models import AbstractUser
from django.db.models import Count, Exists, Model, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from newsletter import control, proofs
from newsletter.admin_buttons import Button, ask, concerned
from newsletter.models import Delivery, Edition, EditionPaper
from papers.read_only import ReadOnly
from subscribers.models import Subscriber

State = Delivery.State

WITH_AN_ERROR = [*Delivery.OPEN, State.FAILED, State.UNKNOWN, State.BOUNCED]
# Who got it, whatever the state is called.
GOT_IT = {
    "yes": [State.ACCEPTED, State.DELIVERED],
    "no": [State.SKIPPED, State.FAILED, State.BOUNCED, State.COMPLAINED],
    "perhaps": [State.UNKNOWN],
    "not yet": [*Delivery.OPEN, State.SENDING],
}
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
    @admin.display(description=group)
    def column(edition: Edition) -> str:
        return str(getattr(edition, group))

    return column


def count(of: str, states: Sequence[State]) -> Coalesce:
    """Count the deliveries in these states that each row has by its field ``of``: edition or chunk."""
    rows = Delivery.objects.filter(**{of: OuterRef("pk")}, state__in=states).order_by().values(of)
    return Coalesce(Subquery(rows.annotate(n=Count("pk")).values("n")), 0)


def list_of(model: type[Model], **filters: str | int) -> str:
    """Return the address of a model's list in admin, filtered."""
    return f"{reverse(f'admin:{model._meta.app_label}_{model._meta.model_name}_changelist')}?{urlencode(filters)}"


def _links(edition: Edition, rows: Iterable[tuple[str, str, int]]) -> SafeString:
    """Return how many ended in which state and why, each with the address of the list of them."""
    return format_html_join(
        ", ",
        '<a href="{}">{} {}</a>',
        (
            (
                list_of(Delivery, edition__id__exact=edition.pk, state__exact=state, reason__exact=reason),
                count,
                Delivery.Reason(reason).label if reason else State(state).label,
            )
            for state, reason, count in rows
        ),
    )


@admin.register(Edition)
class EditionAdmin(ReadOnly, admin.ModelAdmin[Edition]):
    """What became of each edition; its papers and its deliveries are a click away."""

    change_form_template = "admin/newsletter/with_buttons.html"

    list_display = ["date", "state", "new_count", *map(_column, GROUPS)]
    list_filter = ["state"]
    date_hierarchy = "date"
    actions = ["pause", "resume"]
    fields = [
        *("date", "state", "outcomes", "not_yet_due", "errors", "tests"),
        *("scheduled_at", "closed_at", "planned_until", "new_count", "checked", "all_papers"),
    ]
    readonly_fields = ["checked", "outcomes", "not_yet_due", "errors", "tests", "all_papers"]
    list_per_page = 10  # a million readers are counted for each

    def get_queryset(self, request: HttpRequest) -> QuerySet[Edition]:
        """Count for the list alone, by subqueries: a join would count the readers of all editions to show some."""
        editions = super().get_queryset(request)
        if request.resolver_match and request.resolver_match.url_name == "newsletter_edition_changelist":
            return editions.annotate(**{group: count("edition", states) for group, states in GROUPS.items()})
        return editions

    def has_send_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("newsletter.send_edition")

    @admin.display(description=_("what was checked"))
    def checked(self, edition: Edition) -> SafeString:
        return format_html_join(
            "",
            "<div>{}: {}, {} new{}</div>",
            (
                (note["source"], note["status"], note["new"], f", read {at}" if (at := note["fetched_at"]) else "")
                for note in edition.coverage
            ),
        )

    @admin.display(description=_("who got it"))
    def outcomes(self, edition: Edition) -> SafeString | str:
        """Count the readers by state and reason, in one query; each number has the list of who they are and why."""
        rows = list(edition.deliveries.order_by().values_list("state", "reason").annotate(count=Count("pk")))
        total = sum(count for _, _, count in rows)
        lines = [
            (got, sum(row[2] for row in of), 100 * sum(row[2] for row in of) / total, _links(edition, of))
            for got, states in GOT_IT.items()
            if (of := sorted((row for row in rows if row[0] in states), key=lambda row: -row[2]))
        ]
        line = '<tr><th scope="row">{}</th><td class="number">{}</td><td class="number">{} %</td><td>{}</td></tr>'
        table = format_html_join("", line, ((got, n, f"{share:.1f}", links) for got, n, share, links in lines))
        return format_html('<table class="desk-outcomes">{}</table>', table) if rows else "–"

    @admin.display(description=_("not due yet"))
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

    @admin.display(description=_("what went wrong"))
    def errors(self, edition: Edition) -> SafeString | str:
        """List the errors of those who wait or did not get it, the most frequent first."""
        rows = edition.deliveries.exclude(error="").filter(state__in=WITH_AN_ERROR).order_by()
        said = rows.values_list("state", "error").annotate(count=Count("pk")).order_by("-count", "error")[:8]
        line = "<li>{} × {}: {}</li>"
        listed = format_html_join("", line, ((count, State(state).label, error) for state, error, count in said))
        return format_html('<ul class="desk-errors">{}</ul>', listed) if said else "–"

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
            return self._press(request, edition, request.POST.get("do", ""))
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), "buttons": buttons(edition)})

    def _press(self, request: HttpRequest, edition: Edition, name: str) -> HttpResponse:
        button = next((button for button in buttons(edition) if button.name == name), None)
        if button and button.is_to_be_asked(request):
            return ask(request, button, about(edition, name), request.path)
        said = press(edition, name, request.user) if button else ""
        if said:
            self.log_change(request, edition, name)
        level = messages.SUCCESS if said else messages.WARNING
        self.message_user(request, said or _("That cannot be done to this edition now: see its state below."), level)
        return HttpResponseRedirect(request.path)


BUTTONS = [
    Button("pause", _("Pause sending"), _("Nothing more is handed over after the unit at hand, until you go on.")),
    Button("resume", _("Go on sending"), _("The workers go on within a minute.")),
    Button("send_the_rest", _("Send the rest now"), _("Also what waits for its next attempt, and if it is paused.")),
    Button(
        "send_again",
        _("Send the unknown ones again"),
        _("They may have gone: their readers may get the same digest twice."),
        _("Send again what may have gone? Whoever has it gets it twice."),
    ),
    Button("test", _("Send a test to myself"), _("The digest that you would get, to the address of your log-in.")),
    Button(
        "cancel",
        _("Cancel the edition"),
        _("It is sent to nobody else; its papers come with the next one."),
        _("Cancel this edition? It cannot be taken up again."),
    ),
]
DONE = {
    "pause": _("Paused: nothing more is handed over after the unit at hand."),
    "resume": _("The workers go on within a minute."),
    "cancel": _("Cancelled: who did not get it finds its papers in the next edition."),
    "send_the_rest": _("The workers send what is still open, from within a minute on."),
    "test": _("A test to %(email)s goes out with the next service mails; what became of it stands below."),
}


def buttons(edition: Edition) -> list[Button]:
    """Return what can be done to an edition as it stands."""
    states = Edition.State
    can = {
        "pause": edition.state in control.RUNNING,
        "resume": edition.state == states.PAUSED,
        "cancel": edition.state in {*control.RUNNING, states.PAUSED},
        "send_the_rest": edition.state in {states.SENDING, states.PAUSED},
        "send_again": control.can_send_again(edition.deliveries.all()),
        "test": edition.closed_at is not None,
    }
    return [button for button in BUTTONS if can[button.name]]


def about(edition: Edition, name: str) -> list[str]:
    """Say whom it concerns, before it is done."""
    states = GOT_IT["perhaps"] if name == "send_again" else Delivery.OPEN
    return [f"{_('Edition')} {edition.date}", concerned(edition.deliveries.filter(state__in=states).count())]


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
