"""A worker and a beat as processes, on real Redis and PostgreSQL, take a recorded day to mails in a real sink."""

import datetime as dt
import signal
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from tests.conftest import running_replay
from tests.message_checks import check_message
from tests.newsletter.instance import PATIENCE_S, Instance

pytestmark = [pytest.mark.services, pytest.mark.data]

RECORDED = "2026-07-01"
READERS = 12
# As the form does it: the row, and a note for the worker.
SIGN_UP = """
import time
from django.utils import timezone
from subscribers import publishing, signup
signup.sign_up("new@example.org", ["agents"], timezone="UTC", network=None, wording="", now=timezone.now())
while publishing.unpublished():
    time.sleep(0.05)
"""
PUBLIC_URL = "http://127.0.0.1:8000"
# Acts once so many mails are written down as accepted; prints how many are when it has acted.
OPERATOR = """
import time
from newsletter import control
from newsletter.models import Delivery, Edition
accepted = Delivery.objects.filter(state="accepted")
while accepted.count() < {after}:
    time.sleep(0.01)
assert control.{act}(Edition.objects.get())
print("accepted", accepted.count())
"""


@pytest.fixture
def upstream(data: Path, httpserver: HTTPServer):
    """The replay server, behind one that moves a recorded day to yesterday: beat lives today."""
    yesterday = (dt.datetime.now(dt.UTC) - dt.timedelta(days=1)).date().isoformat()
    with running_replay(data) as replay:

        def moved(request: Request) -> Response:
            if request.args.get("date") != yesterday:
                return Response("[]", content_type="application/json")
            query = request.query_string.decode().replace(yesterday, RECORDED)
            with urllib.request.urlopen(f"{replay}{request.path}?{query}") as answer:  # noqa: S310 - loopback
                body = answer.read().replace(f'"{RECORDED}T'.encode(), f'"{yesterday}T'.encode())
            return Response(body, content_type="application/json")

        httpserver.expect_request("/api/daily_papers").respond_with_handler(moved)
        yield httpserver.url_for("").rstrip("/")


@pytest.fixture
def instance(tmp_path: Path, upstream: str):
    # Whatever the hour, today's edition is due, and its papers are of yesterday's list.
    with Instance(tmp_path, HUGGINGFACE_URL=upstream, EDITION_CLOSES_AT="00:00 UTC") as instance:
        yield instance


def wait_for(what: Callable[[], Any], instance: Instance) -> Any:
    until = time.monotonic() + PATIENCE_S
    while not (found := what()):
        assert time.monotonic() < until, instance.logs()
        time.sleep(0.2)
    return found


def one(instance: Instance, query: str) -> Any:
    return instance.rows(query)[0][0]


def take_a_day(instance: Instance) -> None:
    """Have the stages run by the worker, one after the other, as beat has them run."""
    instance.call("ingest")
    wait_for(
        lambda: one(instance, "SELECT count(*) FROM papers_ingestrun WHERE status IN ('ok', 'empty')") >= 8, instance
    )
    instance.call("close")
    wait_for(lambda: one(instance, "SELECT count(*) FROM newsletter_edition"), instance)


def test_a_recorded_day_becomes_mails_that_are_sent_once(instance: Instance) -> None:
    instance.subscribe(READERS)
    worker = instance.celery("worker", "--concurrency", "2", "--loglevel", "INFO")
    beat = instance.celery("beat", "--loglevel", "INFO")

    take_a_day(instance)
    for stage in ("deliver", "deliver", "sweep", "deliver"):
        instance.call(stage)
    wait_for(lambda: len(instance.mailed) >= READERS, instance)
    settled = "SELECT count(*) FROM newsletter_delivery WHERE state = 'accepted'"
    wait_for(lambda: one(instance, settled) == READERS, instance)
    beat.send_signal(signal.SIGTERM)
    worker.send_signal(signal.SIGTERM)

    assert (beat.wait(PATIENCE_S), worker.wait(PATIENCE_S)) == (0, 0)
    assert sorted(instance.mailed) == sorted(f"reader{n}@example.org" for n in range(READERS))
    for envelope in instance.sink.handler.received:
        assert check_message(envelope.original_content or b"", PUBLIC_URL) == []
    assert one(instance, "SELECT new_count FROM newsletter_edition") > 0
    assert "beat: Starting" in instance.logs()


def test_a_worker_that_is_told_to_stop_does_so_after_its_message_and_the_next_one_goes_on(instance: Instance) -> None:
    instance.sink.handler.delay_s = 0.3
    instance.subscribe(READERS)
    first = instance.celery("worker", "--concurrency", "1", "--loglevel", "INFO")
    take_a_day(instance)
    instance.call("deliver")
    wait_for(lambda: len(instance.mailed) >= 2, instance)

    first.send_signal(signal.SIGTERM)
    assert first.wait(PATIENCE_S) == 0

    mailed_by_the_first = len(instance.mailed)
    assert mailed_by_the_first < READERS
    left = dict(instance.rows("SELECT state, count(*) FROM newsletter_delivery GROUP BY state"))
    assert left == {"accepted": mailed_by_the_first, "pending": READERS - mailed_by_the_first}
    assert one(instance, "SELECT count(*) FROM newsletter_chunk WHERE owner <> ''") == 0

    instance.celery("worker", "--concurrency", "1", "--loglevel", "INFO")
    instance.call("sweep")
    wait_for(lambda: len(instance.mailed) == READERS, instance)
    assert len(set(instance.mailed)) == READERS


def test_the_operator_stops_a_chunk_that_a_worker_is_at_within_one_unit(instance: Instance) -> None:
    instance.sink.handler.delay_s = 0.3
    instance.subscribe(READERS)
    instance.celery("worker", "--concurrency", "1", "--loglevel", "INFO")
    take_a_day(instance)

    def stopped(act: str, after: int) -> int:
        """Have the operator act in the middle of it; return how many had been accepted when it was done."""
        operator = instance.start("manage.py", "shell", "-c", OPERATOR.format(act=act, after=after))
        instance.call("deliver")
        instance.call("sweep")
        printed, _ = operator.communicate(timeout=PATIENCE_S)
        wait_for(lambda: one(instance, "SELECT count(*) = 0 FROM newsletter_chunk WHERE owner <> ''"), instance)
        return int(printed.split()[-1])

    before = stopped("pause", 2)
    paused = len(instance.mailed)
    assert before <= paused <= before + 1 < READERS - 3
    left = dict(instance.rows("SELECT state, count(*) FROM newsletter_delivery GROUP BY state"))
    assert left == {"accepted": paused, "pending": READERS - paused}

    instance.manage(
        "shell", "-c", "from newsletter import control, models; control.resume(models.Edition.objects.get())"
    )
    before = stopped("cancel", paused + 2)
    cancelled = len(instance.mailed)
    assert before <= cancelled <= before + 1 < READERS
    left = dict(instance.rows("SELECT state || reason, count(*) FROM newsletter_delivery GROUP BY state || reason"))
    assert left == {"accepted": cancelled, "skippedcancelled": READERS - cancelled}
    assert len(set(instance.mailed)) == cancelled


def test_a_confirmation_overtakes_the_digests(instance: Instance) -> None:
    instance.sink.handler.delay_s = 0.5
    instance.subscribe(READERS)
    for queues in ("celery,digests", "service"):
        instance.celery("worker", "--queues", queues, "--concurrency", "1", "--hostname", f"{queues}@%h")
    take_a_day(instance)
    instance.call("deliver")
    wait_for(lambda: instance.mailed, instance)

    instance.manage("shell", "-c", SIGN_UP)
    wait_for(lambda: "new@example.org" in instance.mailed, instance)

    assert len(instance.mailed) < READERS
    wait_for(lambda: len(instance.mailed) == READERS + 1, instance)
