"""The site's search, on the command line."""

import argparse
import re
from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandError, CommandParser

from papers.management.base import WRONG_USAGE, PaperboyCommand, Result
from papers.models import Paper
from papers.query import QueryError
from papers.search import search


class Command(PaperboyCommand):
    help = (
        'Searches all papers: words, "exact phrases", -exclusions, OR, author:, cat:, like:, org: and title:.'
        " Answers come first, then what holds a word."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("query", help="such as: robot -surgery")
        parser.add_argument("--limit", type=_limit, default=20, help="papers at most; default: 20")

    def run(self, options: Mapping[str, Any]) -> Result:
        query = options["query"]
        try:
            found = search(query, options["limit"])
        except QueryError as error:
            raise CommandError(f"{error}\n{error.pointer(query)}", returncode=WRONG_USAGE) from error
        return Result(
            data={"total": found.total, "papers": [_as_json(paper, score) for paper, score in found.papers]},
            lines=[f"{found.total} papers", *(_as_line(paper, score) for paper, score in found.papers)],
        )


def _limit(text: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,3}", text):
        raise argparse.ArgumentTypeError(f"“{text[:40]}” is no number of papers; write one from 1 to 9999")
    return int(text)


def _as_json(paper: Paper, score: float) -> dict[str, object]:
    return {"id": paper.arxiv_id, "title": paper.title, "score": round(score, 4)}


def _as_line(paper: Paper, score: float) -> str:
    return f"{score:.2f}  {paper.arxiv_id}  {paper.title}"
