"""The site's search, on the command line."""

import argparse
import re
from typing import Any

from django.core.management.base import CommandError, CommandParser

from papers.management.command import WRONG_USAGE, ReportingCommand
from papers.models import Paper
from papers.query import QueryError
from papers.search import search


class Command(ReportingCommand):
    help = 'Searches all papers: words, "exact phrases" and -exclusions. Answers come first, then what holds a word.'

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("query", help="such as: robot -surgery")
        parser.add_argument("--limit", type=_limit, default=20, help="papers at most; default: 20")

    def handle(self, *, query: str, limit: int, json: bool, **options: Any) -> None:  # noqa: ARG002
        try:
            result = search(query, limit)
        except QueryError as error:
            raise CommandError(f"{error}\n{error.pointer(query)}", returncode=WRONG_USAGE) from error
        papers = [_as_json(paper, score) for paper, score in result.papers]
        lines = [f"{result.total} papers", *(_as_line(paper, score) for paper, score in result.papers)]
        self.report(json, {"total": result.total, "papers": papers}, lines)


def _limit(text: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,3}", text):
        raise argparse.ArgumentTypeError(f"“{text[:40]}” is no number of papers; write one from 1 to 9999")
    return int(text)


def _as_json(paper: Paper, score: float) -> dict[str, object]:
    return {"id": paper.arxiv_id, "title": paper.title, "score": round(score, 4)}


def _as_line(paper: Paper, score: float) -> str:
    return f"{score:.2f}  {paper.arxiv_id}  {paper.title}"
