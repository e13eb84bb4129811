"""What a reader with these interests would get, with scores and evidence."""

import argparse
import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from papers.growth import growth, votes_by_field
from papers.management.base import PaperboyCommand, Result, iso_date
from papers.models import Listing, Paper
from papers.query import QueryError, parse, parse_mute
from papers.search import build_index
from papers.trending import scores
from subscribers.candidates import Candidates
from subscribers.meanings import Matcher
from subscribers.selection import Pick, Preferences, Reader, Selection, Wish, select_all


class Command(PaperboyCommand):
    help = "Show what a reader with these interests would get, with scores and evidence. Sends nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--interest", action="append", required=True, metavar="Q", help="may be given many times")
        parser.add_argument("--mute", action="append", default=[], metavar="Q", help="may be given many times")
        when = parser.add_mutually_exclusive_group()
        when.add_argument("--date", type=iso_date, help="papers listed on this date; the newest list if left out")
        when.add_argument("--days", type=_count, default=1, help="papers of the newest N list dates")
        parser.add_argument("--limit", type=_count, default=10, help="papers at most (10)")

    def run(self, options: Mapping[str, Any]) -> Result:
        wishes = [_wish(text) for text in options["interest"]]
        wishes += [_wish(text, is_muted=True) for text in options["mute"]]
        listed = _listed(_dates(options["date"], options["days"]))
        papers = Paper.objects.visible().in_bulk(listed)
        now = timezone.now()
        trending = scores(papers.values(), now.date(), listed, growth(papers, None, now), votes_by_field(now.date()))
        totals, matcher = {pk: score.total for pk, score in trending.items()}, Matcher(list(papers.values()))
        candidates = Candidates(build_index(papers.values()), totals, matcher.match, matcher.prove)
        (selection,) = select_all(candidates, [Reader(wishes, Preferences(paper_count=options["limit"]))])
        return Result(_data(selection, papers), _lines(selection, papers))


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"“{text}” is no number from 1 upwards")
    return int(text)


def _wish(text: str, *, is_muted: bool = False) -> Wish:
    try:
        return Wish(text, (parse_mute if is_muted else parse)(text).canonical, is_muted=is_muted)
    except QueryError as error:
        raise CommandError(f"{error.message}\n{error.pointer(text)}", returncode=2) from error


def _dates(date: dt.date | None, days: int) -> list[dt.date]:
    """Return the list dates to look at, newest first; only those that hold papers count."""
    listings = Listing.objects.filter(paper__in=Paper.objects.visible())
    if date and date > timezone.now().date():
        raise CommandError(f"{date} is in the future; give a date with a list, or none for the newest.", returncode=2)
    if date:
        listings = listings.filter(list_date=date)
    found = list(listings.order_by("-list_date").values_list("list_date", flat=True).distinct()[:days])
    if not found:
        raise CommandError(
            f"No papers {f'are listed on {date}' if date else 'are stored yet'}:"
            f" run `python manage.py ingest --source huggingface{f' --date {date}' if date else ''}`."
        )
    return found


def _listed(dates: Sequence[dt.date]) -> dict[int, dt.date]:
    """Return the papers of the dates, each with the newest of them on which it was listed."""
    rows = Listing.objects.filter(list_date__in=dates).order_by("list_date")
    return dict(rows.values_list("paper_id", "list_date"))


def _data(selection: Selection, papers: Mapping[int, Paper]) -> dict[str, object]:
    return {
        "papers": [_paper(pick, papers[pick.paper_id]) for pick in selection.picks],
        "considered": selection.considered,
        "muted": selection.muted,
    }


def _paper(pick: Pick, paper: Paper) -> dict[str, object]:
    return {
        "id": paper.arxiv_id,
        "title": paper.title,
        "score": round(pick.score, 4),
        "trending": round(pick.trending, 4),
        "why": [{"interest": why.interest, "field": why.field, "text": why.text} for why in pick.why],
    }


def _lines(selection: Selection, papers: Mapping[int, Paper]) -> list[str]:
    lines = [f"Papers: {selection.considered}, matching: {selection.matched}, muted: {selection.muted}"]
    section = ""
    for pick in selection.picks:
        if pick.section != section:
            section = pick.section
            lines += ["", "For you" if section == "for_you" else "Trending"]
        paper = papers[pick.paper_id]
        lines.append(f"{pick.score:.2f}  {paper.arxiv_id}  {paper.title}")
        lines += [f"      {why.interest} ({why.field}): {why.text}" for why in pick.why]
    return lines
