"""A million readers' exact top ten, beside a full-text query and an SVM for each of them.

Ours begins with papers and canonical queries: it indexes, parses, matches and sums up, with mutes, stars and
slider. The peers are timed on some of the same readers and scaled up: a prepared query of PostgreSQL each, over
a GIN index, that sums up the interests, with mutes, stars and slider; and scikit-learn's linear SVM each, on a
paper for each interest.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass

import numpy as np
import psycopg

from papers.index import PaperIndex
from subscribers.candidates import Candidates
from subscribers.fanout import Readers, fan_out
from subscribers.places import CANDIDATES, vary
from tests.benchmarks.crowd import Crowd, documents, interests
from tests.benchmarks.measure import ROUNDS, Figure, one_core, report
from tests.conftest import ROOT

READERS = {"small": 20_000, "full": 1_000_000}
INTERESTS = {"small": 1_000, "full": 200_000}
PAPERS = {"small": 300, "full": 1_500}
SAMPLED = {"small": 20, "full": 100}  # readers of the peers, in each round
CHUNK, TOP = 500, 10
PEERS_PYTHON = ROOT / "var" / "peers" / "bin" / "python"


@dataclass(frozen=True, slots=True)
class Line(Figure):
    """``parts``: seconds of ours; ``memory_mib``: the most that this process held."""

    parts: dict[str, float]
    memory_mib: int


class Morning:
    """A day's papers and the readers; how much papers trend is drawn: few of them very much."""

    def __init__(self, size: str) -> None:
        self.documents = documents(PAPERS[size])
        loud = np.random.default_rng(2).pareto(1.5, len(self.documents)).tolist()
        self.trending = {document.id: score for document, score in zip(self.documents, loud, strict=True)}
        self.crowd = Crowd(READERS[size], interests(INTERESTS[size]))

    def best(self, parts: dict[str, float]) -> tuple[Candidates, Readers]:
        """Find every reader's best papers; put the seconds of each step into ``parts``."""
        started = time.perf_counter()
        candidates = Candidates(PaperIndex(self.documents), self.trending)
        indexed = time.perf_counter()
        candidates.learn(self.crowd.canonicals, self.crowd.mutes)
        matched = time.perf_counter()
        readers = self.crowd.readers(candidates, len(self.crowd))
        numbered = time.perf_counter()
        fan_out(candidates.board, readers, TOP)
        ended = time.perf_counter()
        parts |= {"index": indexed - started, "match": matched - indexed, "fan_out": ended - numbered}
        parts["all"] = ended - started
        return candidates, readers


# Peers: seconds a reader ------------------------------------------------------------------------

# The same work as ours: each interest ranked by itself, by its phrase or its words, and summed up; what a mute
# holds left out; interests and trending each scaled to the reader's highest and mixed; starred matches first.
QUERY = """
WITH wanted AS (
  SELECT phraseto_tsquery('english', said) || plainto_tsquery('english', said) AS query, is_starred
  FROM unnest(%(wanted)s::text[], %(starred)s::bool[]) AS asked(said, is_starred)
), found AS (
  SELECT id, trending, sum(ts_rank(words, query)) AS score, bool_or(is_starred) AS is_starred
  FROM bench_papers JOIN wanted ON words @@ query
  WHERE NOT words @@ websearch_to_tsquery('english', %(muted)s)
  GROUP BY id, trending
)
SELECT id FROM found
ORDER BY is_starred DESC,
  (1 - %(mix)s) * score / max(score) OVER () + %(mix)s * trending / max(trending) OVER () DESC, id
LIMIT 10
"""


def connected(morning: Morning) -> psycopg.Connection:
    connection = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)
    connection.execute("SET client_min_messages TO error")  # an empty query is said to be one
    connection.execute("CREATE TABLE bench_papers (id int, words tsvector, trending float)")
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO bench_papers VALUES (%s, setweight(to_tsvector('english', %s), 'A')"
            " || to_tsvector('english', %s), %s)",
            [(d.id, d.title, d.abstract, morning.trending[d.id]) for d in morning.documents],
        )
    connection.execute("CREATE INDEX ON bench_papers USING gin (words)")
    connection.execute("VACUUM ANALYZE bench_papers")
    return connection


def by_query(connection: psycopg.Connection, crowd: Crowd, sample: range) -> float:
    started = time.perf_counter()
    for reader in sample:
        follows = crowd.follows(reader)
        wanted = [(query, is_starred) for query, is_muted, is_starred in follows if not is_muted]
        asked = {
            "wanted": [query for query, _ in wanted],
            "starred": [is_starred for _, is_starred in wanted],
            "muted": " or ".join(f'"{query}"' for query, is_muted, _ in follows if is_muted),
            "mix": float(crowd.mix[reader]),
        }
        connection.execute(QUERY, asked, prepare=True).fetchall()
    return (time.perf_counter() - started) / len(sample)


def by_svm(morning: Morning, candidates: Candidates, readers: Readers, sample: range) -> tuple[float, str]:
    """Return seconds a reader and the version; the papers that they like are the best of each interest."""
    answers, liked = candidates.board.answers, []
    for reader in sample:
        lines = [answers.line(readers.query[follow]) for follow in readers.follows(reader)]
        liked.append([int(line[0]) for line in lines if line.size] or [0])
    texts = [f"{d.title}. {d.abstract}" for d in (candidates.index.documents[paper] for paper in candidates.ids)]
    asked = json.dumps({"texts": texts, "liked": liked})
    command = [str(PEERS_PYTHON), str(ROOT / "tests" / "benchmarks" / "svm.py")]
    said = json.loads(subprocess.run(command, input=asked, stdout=subprocess.PIPE, text=True, check=True).stdout)
    return said["seconds"], said["version"]


def main(size: str) -> None:
    one_core()
    morning = Morning(size)
    load_machine_code(morning)
    rounds: list[dict[str, float]] = []
    memory, version = 0, ""
    with connected(morning) as connection:
        for number in range(ROUNDS):
            parts: dict[str, float] = {}
            candidates, readers = morning.best(parts)
            memory = memory or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            parts |= tenth(morning, candidates) | varied(morning, candidates)
            sample = range(number * SAMPLED[size], (number + 1) * SAMPLED[size])
            parts["query"] = by_query(connection, morning.crowd, sample) * len(morning.crowd)
            seconds, version = by_svm(morning, candidates, readers, sample)
            rounds.append(parts | {"svm": seconds * len(morning.crowd)})
        server = f"PostgreSQL {connection.info.server_version // 10_000}"
    median = {name: statistics.median(parts[name] for parts in rounds) for name in rounds[0]}
    crowd, ours = morning.crowd, {name: round(median[name], 3) for name in ("index", "match", "fan_out", "variety")}
    of = f"{len(crowd)} readers x 5 of {len(crowd.canonicals)} interests x {len(morning.documents)} papers"
    for peer, peers_version, mine, seconds in (
        ("a prepared full-text query per reader", server, median["all"], median["query"]),
        ("a TF-IDF SVM per reader", version, median["all"], median["svm"]),
        ("fan-out: ten times a tenth of the readers", "same code", median["fan_out"], 10 * median["tenth"]),
    ):
        report(Line("readers", of, peer, peers_version, seconds / mine, mine, seconds, ours, memory))


def load_machine_code(morning: Morning) -> None:
    """A worker does this once, and does not compile what another has compiled."""
    candidates, few = Candidates(PaperIndex(morning.documents[:50]), {}), Crowd(CHUNK, morning.crowd.canonicals[:20])
    readers = few.readers(candidates, CHUNK)
    vary(fan_out(candidates.board, readers, CANDIDATES), np.full(CHUNK, 1), TOP, lambda: candidates.sketches)


def tenth(morning: Morning, candidates: Candidates) -> dict[str, float]:
    few = morning.crowd.readers(candidates, len(morning.crowd) // 10)
    started = time.perf_counter()
    fan_out(candidates.board, few, TOP)
    return {"tenth": time.perf_counter() - started}


def varied(morning: Morning, candidates: Candidates) -> dict[str, float]:
    """Return what varying all readers' ten out of their best thirty would take, chunk by chunk."""
    count = min(len(morning.crowd), 20 * CHUNK)
    readers, room = morning.crowd.readers(candidates, count), np.full(CHUNK, TOP, np.int32)
    best = fan_out(candidates.board, readers, CANDIDATES)
    chunks = [
        best._replace(
            rows=best.rows[at : at + CHUNK], scores=best.scores[at : at + CHUNK], starred=best.starred[at : at + CHUNK]
        )
        for at in range(0, count, CHUNK)
    ]
    sketches = candidates.sketches
    started = time.perf_counter()
    for chunk in chunks:
        vary(chunk, room, TOP, lambda: sketches)
    return {"variety": (time.perf_counter() - started) * len(morning.crowd) / count}


if __name__ == "__main__":
    main(sys.argv[1])
