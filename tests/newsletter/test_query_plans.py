"""What PostgreSQL reads for a mail and for a page of readers: never a whole table, whatever its statistics know."""

import json

import pytest

from tests.newsletter.instance import Instance

pytestmark = pytest.mark.services

READERS = 4_000
FILL = f"""
import datetime as dt, itertools, json
from django.db import connection
from django.test.utils import CaptureQueriesContext
from newsletter import editions, turns, units
from newsletter.due import due_readers
from newsletter.models import Delivery, Edition
from subscribers.models import Subscriber
from tests.benchmarks.planning import HISTORY, MORE_READERS

reader, row, day = Subscriber.objects.get(), Delivery.objects.get(), Edition.objects.get()
at = dt.datetime(2026, 7, 9, 4, 30, tzinfo=dt.UTC)
Edition.objects.create(date=at.date(), scheduled_at=at, closed_at=at, state="closed", new_count=1)
with connection.cursor() as cursor:
    cursor.execute(MORE_READERS, [{READERS}, reader.pk])
    cursor.execute(HISTORY, [day.pk, day.date, day.date, "had-", row.pk, day.pk])
"""
EXPLAIN = """
def explained(*query):
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN (FORMAT JSON) " + query[0], query[1:] and query[1])
        plan = cursor.fetchone()[0][0]["Plan"]
    # A hashed subplan reads all that it may be asked for, by an index or not.
    return scanned(plan) + ["hashed"] * ("hashed SubPlan" in json.dumps(plan))

def scanned(node, times=""):
    # The tables that are read whole, behind a > where that is for the rows of another.
    times = ">" if node.get("Parent Relationship") == "SubPlan" else times
    below = [name for child in node.get("Plans", []) for name in scanned(child, times)]
    return below + ([times + node["Relation Name"]] if node["Node Type"] == "Seq Scan" else [])

def plans():
    rows = list(Delivery.objects.select_related("subscriber").order_by("pk")[:2])
    mark = units.MARK.sql.format(rows=units.listed("r", units.MARK.columns, 1))
    turn = turns.TURN.sql.format(rows=units.listed("r", turns.TURN.columns, 2))
    goes = units.document([units.going(rows[0])])
    both = units.document([{"pk": rows[0].pk, "state": "accepted"}, units.going(rows[1]) | turns.GOES])
    with CaptureQueriesContext(connection) as asked:
        due = due_readers(list(editions.closed())[::-1], at + dt.timedelta(hours=4))
        assert list(itertools.islice(due, 1))
    return {
        "mark": explained(mark, ["n", "n", str(at), goes, "n", "owner"]),
        "turn": explained(turn, ["n", "n", str(at), both, "n", "owner", "n"]),
        "due": [table for query in asked for table in explained(query["sql"].replace("%", "%%"))],
    }

young = plans()
with connection.cursor() as cursor:
    cursor.execute("ANALYZE")
print(json.dumps([young, plans()]))
"""


def test_no_mail_and_no_page_of_readers_costs_a_look_at_all_of_them(tmp_path):
    with Instance(tmp_path, REDIS_URL="") as instance:
        instance.close_edition(readers=1)
        instance.manage("deliver", "--now", "2026-07-08T08:00")
        printed = instance.manage("shell", "-c", FILL + EXPLAIN)

    for plans in json.loads(printed.splitlines()[-1]):
        # A page of a thousand may be joined with all rows of a small table, once.
        for_each_mail = {table.strip(">") for table in plans["mark"] + plans["turn"]}
        for_each_reader = {table.strip(">") for table in plans["due"] if table[0] in ">h"}
        dear = {"subscribers_subscriber", "newsletter_delivery", "hashed"}
        assert (for_each_mail | for_each_reader) & dear == set(), plans
