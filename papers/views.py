"""The public pages: a day's list, the search, and one paper with what is known of it. None of them sets a cookie."""

import datetime as dt
import math
import re
from dataclasses import dataclass

from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.formats import time_format
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from papers.growth import growth, votes_by_field
from papers.models import IngestRun, Listing, Paper
from papers.query import QueryError
from papers.records import bare_id, is_arxiv_id, read_date
from papers.search import search as find
from papers.sources import SOURCES
from papers.trending import TrendingScore, scores

PAPERS_PER_PAGE = 100

FOUND_PER_PAGE = 20
LAST_PAGE = 50  # who has looked at a thousand papers had better ask for something else
# The language of interests, a line of it for each sign.
EXAMPLES = {
    "diffusion models": gettext_lazy("the phrase counts most, then its words; plurals, hyphens and acronyms are one"),
    '"chain of thought"': gettext_lazy("exactly this phrase"),
    "robot -surgery": gettext_lazy("not where the word after the dash stands"),
    "speech OR audio": gettext_lazy("either of them"),
    'author:"Fei-Fei Li"': gettext_lazy("one author; also org:deepmind, cat:cs.CL or cat:cs.*, title:survey"),
    "like:2401.12345": gettext_lazy("papers like the one with this arXiv id"),
}

PARTS = {
    "upvotes": gettext_lazy("Upvotes"),
    "growth": gettext_lazy("Upvotes gained in the last 24 hours"),
    "standing": gettext_lazy("Upvotes compared with papers of its field in the last 90 days"),
    "github_stars_growth": gettext_lazy("GitHub stars gained in the last 24 hours"),
    "comment_count": gettext_lazy("Comments"),
    "signs": gettext_lazy("Code, a project page, more than one field"),
}


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a trending score, as a page explains it."""

    label: str | Promise
    value: float


# Lists ------------------------------------------------------------------------------------------


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """Show the newest list that holds papers, or what to expect before there is one."""
    newest = _listings().order_by("-list_date").values_list("list_date", flat=True).first()
    if newest is None:
        return render(request, "papers/no_papers_yet.html", {"has_sample": False})
    return _list_page(request, newest)


@require_safe
def day(request: HttpRequest, date: str) -> HttpResponse:
    """Show the list of a date, or why it is empty."""
    try:
        return _list_page(request, read_date(date))
    except ValueError as error:
        context = {"title": _("There is no such day"), "message": str(error), "has_sample": False}
        return render(request, "papers/not_found.html", context, status=404)


def _list_page(request: HttpRequest, date: dt.date) -> HttpResponse:
    papers = Paper.objects.visible().listed_on(date)
    page = Paginator(papers, PAPERS_PER_PAGE).get_page(request.GET.get("page"))
    dates = _listings().values_list("list_date", flat=True)
    context = {
        "date": date,
        "page": page,
        "previous": dates.filter(list_date__lt=date).order_by("-list_date").first(),
        "next": dates.filter(list_date__gt=date).order_by("list_date").first(),
        "why_empty": "" if page.paginator.count else _why_empty(date, timezone.now().date()),
        "has_sample": any(paper.is_sample for paper in page),
    }
    return render(request, "papers/day.html", context)


def _listings() -> QuerySet[Listing]:
    """Listings of papers that may be shown."""
    return Listing.objects.filter(paper__is_hidden=False, paper__is_withdrawn=False)


def _why_empty(date: dt.date, today: dt.date) -> str:
    """Return the sentence that a reader finds in place of papers."""
    if date > today:
        return _("This day has not come yet.")
    if date.weekday() >= 5:
        return _("No lists are published at weekends. The next one comes on Monday.")
    run = IngestRun.objects.of_lists().filter(list_date=date).order_by("-started_at").first()
    if run is None or run.status == IngestRun.Status.RUNNING:
        return _("The list of this day has not been fetched yet.")
    values = {"source": _source_title(run.source), "time": time_format(run.started_at, "H:i")}
    if run.status == IngestRun.Status.FAILED:
        return _("%(source)s could not be read at %(time)s UTC. It is tried again every hour.") % values
    if run.status == IngestRun.Status.EMPTY and date == today:
        return _("%(source)s has no papers for today yet, as of %(time)s UTC.") % values
    return _("%(source)s has no papers for this day.") % values


def _source_title(source: str) -> str:
    return SOURCES[source].TITLE if source in SOURCES else source


# Search -----------------------------------------------------------------------------------------


@require_safe
def search(request: HttpRequest) -> HttpResponse:
    """Show the papers that answer a line of the readers' language, then those that hold some of its words."""
    text, number = request.GET.get("q", "").strip(), _page_number(request)
    context: dict[str, object] = {"q": text, "number": number, "examples": EXAMPLES}
    status = 200
    if text:
        try:
            context |= _search_context(text, number)
        except QueryError as error:
            status, context["error"] = 422, error.message
            context["before"], context["place"], context["after"] = _around(text, error.position)
    response = render(request, "papers/search.html", context, status=status)
    response["X-Robots-Tag"] = "noindex"
    return response


def _page_number(request: HttpRequest) -> int:
    """Return the number of the page that is asked for; what is no such number is the first."""
    text = request.GET.get("page", "")
    return min(int(text), LAST_PAGE) if re.fullmatch(r"[1-9][0-9]{0,5}", text, re.ASCII) else 1


def _around(text: str, position: int) -> tuple[str, str, str]:
    """Return what stands before a place of the line, the word at the place, and what stands after it."""
    start = max(0, position - 60)
    word = re.match(r"\s*\S{0,30}", text[position:])
    end = position + (word.end() if word else 0)
    before = f"{'…' if start else ''}{text[start:position]}"
    return before, text[position:end], f"{text[end : end + 20]}{'…' if len(text) > end + 20 else ''}"


def _search_context(text: str, number: int) -> dict[str, object]:
    result = find(text, FOUND_PER_PAGE, (number - 1) * FOUND_PER_PAGE)
    proofs = list(result.proofs())
    pages = min(math.ceil(result.total / FOUND_PER_PAGE), LAST_PAGE)
    return {
        "total": result.total,
        "lacking": [paper for side in result.query.alternatives for paper in side.like if paper not in result.likes],
        "answers": [(paper, proof) for paper, proof in proofs if proof],
        "others": [paper for paper, proof in proofs if not proof],
        "start": (number - 1) * FOUND_PER_PAGE + 1,
        "pages": pages,
        "previous": number - 1 if 1 < number <= pages else None,
        "next": number + 1 if number < pages else None,
        "has_sample": any(paper.is_sample for paper, _proof in proofs),
    }


# One paper --------------------------------------------------------------------------------------


@require_safe
def paper(request: HttpRequest, arxiv_id: str) -> HttpResponse:
    """Show one paper; an address with a version leads to the one without, a hidden paper is not there."""
    found = Paper.objects.filter(arxiv_id=arxiv_id, is_hidden=False).first() if is_arxiv_id(arxiv_id) else None
    if found is None:
        return _other_address(arxiv_id) or _no_such_paper(request)
    listings = list(found.listings.order_by("-list_date", "source"))
    score = _current_score(found, listings)
    context = {
        "paper": found,
        "listings": [(_source_title(listing.source), listing.list_date) for listing in listings],
        "score": score,
        "parts": [Part(label, score.parts[name]) for name, label in PARTS.items()],
        "has_sample": found.is_sample,
    }
    return render(request, "papers/paper.html", context)


def _current_score(paper: Paper, listings: list[Listing]) -> TrendingScore:
    now = timezone.now()
    list_dates = {paper.pk: listings[0].list_date} if listings else {}
    on, gained = now.date(), growth([paper.pk], None, now)
    return scores([paper], on, list_dates, gained, votes_by_field(on))[paper.pk]


def _other_address(arxiv_id: str) -> HttpResponse | None:
    """Return where ``2401.12345v2`` or ``arXiv:2401.12345`` is to be found."""
    try:
        bare = bare_id(arxiv_id)
    except ValueError:
        return None
    return redirect("papers:paper", bare, permanent=True) if bare != arxiv_id else None


def _no_such_paper(request: HttpRequest) -> HttpResponse:
    message = _(
        "Write an arXiv id such as 2401.12345. Only papers that stood on a list since this site began are here."
    )
    context = {"title": _("This paper is not here"), "message": message, "has_sample": False}
    return render(request, "papers/not_found.html", context, status=404)
