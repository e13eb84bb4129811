"""Two planners at once, in the database that production uses: no reader is planned twice, none is left out."""

import pytest

from tests.newsletter.instance import PATIENCE_S, Instance

pytestmark = pytest.mark.services

READERS = 700
# Unlike `deliver`, plans and does not send; the first one is killed in the middle of its work.
PLAN = """
import datetime as dt, os, sys
from newsletter import due, editions, planning
due.PAGE = 20
def stop_after(write=planning._write, batches=iter(range(9))):
    def written(*args):
        write(*args)
        {stop} and next(batches) == 3 and os._exit(9)
    return written
planning._write = stop_after()
planning.CHUNK_SIZE = 25
planning.plan(editions.newest_closed(), dt.datetime(2026, 7, 8, 8, tzinfo=dt.UTC))
"""


@pytest.fixture
def instance(tmp_path):
    with Instance(tmp_path, REDIS_URL="") as instance:
        instance.close_edition(readers=READERS)
        yield instance


def test_planners_at_once_and_one_that_dies_plan_every_reader_once(instance):
    planners = [
        instance.start("manage.py", "shell", "-c", PLAN.format(stop=stop)) for stop in ("True", "False", "False")
    ]
    statuses = [planner.wait(PATIENCE_S) for planner in planners]

    assert statuses == [9, 0, 0], instance.logs()
    assert instance.rows("SELECT state, count(*) FROM newsletter_delivery GROUP BY state") == [("pending", READERS)]
    assert instance.rows("SELECT count(*) FROM newsletter_deliverypicks") == [(READERS,)]
    sizes = "SELECT max(n), count(*) FROM (SELECT count(*) AS n FROM newsletter_delivery GROUP BY chunk_id) AS chunks"
    [(largest, chunks)] = instance.rows(sizes)
    assert largest <= 25
    assert instance.rows("SELECT count(*), max(number) FROM newsletter_chunk") == [(chunks, chunks)]
