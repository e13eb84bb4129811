"""How well the matching finds what people judged relevant."""

import argparse
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from papers.encoders import EncoderError, load
from papers.evaluation import EvaluationSetError, measures, read_set
from papers.index import Document
from papers.management.base import WRONG_USAGE, PaperboyCommand, Result
from papers.rankers import RANKERS, ByMeaning, Ranker


class Command(PaperboyCommand):
    help = "Ranks the papers of a retrieval set in BEIR layout for each of its queries, and measures the rankings."
    requires_migrations_checks = False  # nothing is read from the database

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("folder", type=Path, metavar="DIR", help="corpus.jsonl[.gz], queries.jsonl, qrels/test.tsv")
        parser.add_argument("--ranker", choices=list(RANKERS), default="product", help="default: the product's own")
        parser.add_argument(
            "--encoder",
            choices=["", "wordllama", "onnx"],
            default=settings.ENCODER,
            help="for the product's ranker, in the place of the setting; onnx is read from ENCODER_PATH",
        )
        parser.add_argument("--limit", type=_limit, help="only the first N judged queries")

    def run(self, options: Mapping[str, Any]) -> Result:
        try:
            given = read_set(options["folder"], options["limit"])
        except EvaluationSetError as error:
            raise CommandError(str(error), returncode=WRONG_USAGE) from error
        ranker = _ranker(options["ranker"], options["encoder"], given.documents)
        started = time.perf_counter()
        rankings = list(ranker.rank(given.texts))
        seconds = time.perf_counter() - started
        figures = {name: round(value, 4) for name, value in measures(rankings, given.relevant).items()}
        data = {"queries": len(rankings), **figures, "ms_per_query": round(1000 * seconds / len(rankings), 3)}
        return Result(data, [f"{name:>12}  {value}" for name, value in data.items()])


def _ranker(name: str, encoder_kind: str, documents: Sequence[Document]) -> Ranker:
    try:
        encoder = load(encoder_kind, settings.ENCODER_PATH)
    except EncoderError as error:
        raise CommandError(str(error), returncode=WRONG_USAGE) from error
    return ByMeaning(documents, encoder) if encoder and name == "product" else RANKERS[name](documents)


def _limit(text: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,8}", text):
        raise argparse.ArgumentTypeError(f"“{text[:40]}” is no number of queries; write 1 or more")
    return int(text)
