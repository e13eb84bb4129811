"""Turns with a source are shared by all our processes, whatever keeps them, and outlive a holder that died."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
import redis
from werkzeug import Request, Response

from papers.models import SourceState
from papers.sources import SOURCES
from papers.sources.client import SourceError
from papers.sources.pace import DatabaseTurns, Pace, RedisTurns, pace_of
from tests.conftest import REDIS_URL, ROOT

BETWEEN_S = 0.3
PREFIX = f"paperboy-test-{os.getpid()}:"


@pytest.fixture(params=["database", pytest.param("redis", marks=pytest.mark.services)])
def holders(request, db) -> Iterator[tuple[DatabaseTurns | RedisTurns, DatabaseTurns | RedisTurns]]:
    """Two who want turns with one source."""
    if request.param == "database":
        yield DatabaseTurns("arxiv", BETWEEN_S, lease_s=1), DatabaseTurns("arxiv", BETWEEN_S, lease_s=1)
        return
    one, other = (RedisTurns("arxiv", BETWEEN_S, REDIS_URL, PREFIX, lease_s=1) for _ in range(2))
    yield one, other
    one.client.delete(*one.keys)


def test_one_has_the_turn_and_the_other_waits(holders):
    one, other = holders

    assert one.take() == 0
    assert 0 < other.take() <= BETWEEN_S
    time.sleep(BETWEEN_S)
    assert other.take() > 0  # the pause is over, the request is not


def test_a_turn_that_is_given_back_is_free_after_the_pause(holders):
    one, other = holders
    one.take()
    time.sleep(BETWEEN_S / 2)
    one.give_back()

    assert other.take() > BETWEEN_S / 2
    time.sleep(BETWEEN_S)
    assert other.take() == 0


def test_nobody_gives_back_what_is_not_theirs(holders):
    one, other = holders
    one.take()
    other.give_back()
    time.sleep(BETWEEN_S)

    assert other.take() > 0


def test_a_holder_that_died_loses_its_turn(holders):
    one, other = holders
    one.take()
    time.sleep(1.1)

    assert other.take() == 0
    one.give_back()  # it was only asleep, and must not end the other's turn
    time.sleep(BETWEEN_S)
    assert one.take() > 0


def test_who_waits_too_long_gives_up(holders):
    one, other = holders
    one.take()

    with pytest.raises(SourceError, match="not our turn in time"), Pace(other).turn(0.5):
        pass


def test_a_request_that_failed_gives_its_turn_back(holders):
    one, other = holders
    with pytest.raises(SourceError, match="away"), Pace(one).turn(1):
        raise SourceError("away")
    time.sleep(BETWEEN_S)

    assert other.take() == 0


def test_without_redis_nobody_knows_whose_turn_it_is():
    turns = RedisTurns("arxiv", BETWEEN_S, "redis://127.0.0.1:1/0", PREFIX)

    with pytest.raises(SourceError, match="Redis, which keeps the turns, does not answer"):
        turns.take()


def keeper(source: str, seconds_between: float) -> type | None:
    pace = pace_of(source, seconds_between)
    return type(pace.turns) if pace else None


def test_the_turns_are_in_redis_where_there_is_one(settings):
    assert (keeper("huggingface", 0.0), keeper("arxiv", 3.0)) == (None, DatabaseTurns)

    settings.REDIS_URL = "redis://127.0.0.1:1/0"

    assert (keeper("huggingface", 0.0), keeper("arxiv", 3.0)) == (None, RedisTurns)


def test_arxiv_asks_for_three_seconds_and_for_patience():
    source = SOURCES["arxiv"]

    assert (source.SECONDS_BETWEEN_REQUESTS, source.COOL_DOWN_S) == (3.0, 90.0)


@pytest.mark.django_db
def test_a_busy_row_does_not_forget_what_the_source_asked_for():
    SourceState.objects.create(source="arxiv", next_request_at="2026-07-01T00:00:00Z")

    turns = DatabaseTurns("arxiv", BETWEEN_S)
    turns.take()
    turns.give_back()

    assert SourceState.objects.filter(next_request_at="2026-07-01T00:00:00Z").exists()


# Real processes ------------------------------------------------------------------------------------

ASK = """
import sys, django
django.setup()
from papers.sources.client import Client
from papers.sources.pace import pace_of
with Client(sys.argv[1], pace=pace_of("arxiv", float(sys.argv[2]))) as client:
    for _ in range(4):
        client.get("/list", {})
"""


@pytest.fixture
def asked(httpserver) -> list[tuple[float, float]]:
    """When each request came and was answered, which takes a while."""
    times: list[tuple[float, float]] = []

    def answer(_: Request) -> Response:
        came = time.monotonic()
        time.sleep(0.15)
        times.append((came, time.monotonic()))
        return Response("[]")

    httpserver.expect_request("/list").respond_with_handler(answer)
    return times


def ask_in_two_processes(address: str, **environment: str) -> None:
    ours = {"DJANGO_SETTINGS_MODULE": "newsletter.settings", "ENV_FILE": os.devnull, "REDIS_PREFIX": PREFIX}

    def ask(_: int) -> None:
        command = [sys.executable, "-c", ASK, address, str(BETWEEN_S)]
        subprocess.run(command, cwd=ROOT, env=os.environ | ours | environment, check=True)

    with ThreadPoolExecutor() as pool:
        list(pool.map(ask, range(2)))


def assert_in_turn(times: list[tuple[float, float]]) -> None:
    assert len(times) == 8
    for (_, answered), (next_came, _) in pairwise(times):
        assert next_came - answered >= BETWEEN_S


def test_two_processes_take_turns_on_sqlite(httpserver, asked, migrated):
    ask_in_two_processes(httpserver.url_for(""), VAR_DIR=str(migrated))

    assert_in_turn(asked)


@pytest.mark.services
def test_two_processes_take_turns_on_postgresql(httpserver, asked, tmp_path, postgres):
    ask_in_two_processes(httpserver.url_for(""), VAR_DIR=str(tmp_path), DATABASE_URL=postgres)

    assert_in_turn(asked)


@pytest.mark.services
def test_two_processes_take_turns_on_redis(httpserver, asked, tmp_path):
    ask_in_two_processes(httpserver.url_for(""), VAR_DIR=str(tmp_path), REDIS_URL=REDIS_URL)

    assert_in_turn(asked)
    assert redis.Redis.from_url(REDIS_URL).keys(f"{PREFIX}turn*") == []
