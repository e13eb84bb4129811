"""Several workers at the same rows, in the database that production uses: each row goes to one of them."""

import json

import pytest

from tests.newsletter.instance import Instance

pytestmark = pytest.mark.services

# Run by `manage.py shell`: an edition, a chunk of pending deliveries, and threads with connections of their own.
STORY = """
import datetime as dt, json, threading, time
from collections import Counter
from django.db import connection, transaction
from django.utils import timezone
from newsletter import control, messages, units
from newsletter.chunks import LEASE
from newsletter.models import Chunk, Delivery, Edition
from newsletter.sending import deliver_chunk
from newsletter.turns import Turns
from subscribers.emails import Outcome
from tests.newsletter.carriers import Batches

def thread(work, *args):
    def run():
        try:
            work(*args)
        finally:
            connection.close()
    started = threading.Thread(target=run)
    started.start()
    return started

def rows():
    return list(Delivery.objects.select_related("subscriber", "edition", "picks").order_by("pk"))

edition, chunk = Edition.objects.get(), Chunk.objects.get()
"""
MARKS = """
chunk.owner, chunk.leased_until = "me", timezone.now() + LEASE
chunk.save()
took = []
def mark(name):
    took.append(len(units.mark(rows(), "me", name, timezone.now())))
for started in [thread(mark, f"unit-{n}") for n in range(6)]:
    started.join()
print(json.dumps({"took": sorted(took), "units": Delivery.objects.values("unit").distinct().count(),
                  "attempts": sorted(set(Delivery.objects.values_list("attempt", flat=True)))}))
"""
CANCEL = """
chunk.owner, chunk.leased_until = "me", timezone.now() + LEASE
chunk.save()
took = []
with transaction.atomic():
    control.cancel(edition)
    started = thread(lambda: took.append(len(units.mark(rows(), "me", "unit", timezone.now()))))
    time.sleep(0.5)
    waited = not took
started.join()
print(json.dumps({"waited": waited, "took": took, "states": Counter(Delivery.objects.values_list("state", flat=True))}))
"""
TURN = """
chunk.owner, chunk.leased_until = "me", timezone.now() + LEASE
chunk.save()
first, second, *_ = rows()
units.mark([first], "me", "first", timezone.now())
last = units.Unit("first", [first], [Outcome("accepted")], timezone.now())
took = []
with transaction.atomic():
    control.cancel(edition)
    started = thread(lambda: took.append(len(Turns("me").turn(last, [second], "second", timezone.now())[1])))
    time.sleep(0.5)
    waited = not took
started.join()
print(json.dumps({"waited": waited, "took": took, "states": Counter(Delivery.objects.values_list("state", flat=True))}))
"""
WORKERS = """
carriers = [Batches(7) for _ in range(5)]
for started in [thread(lambda c: deliver_chunk(chunk.pk, timezone.now(), carriers=[c]), c) for c in carriers]:
    started.join()
to = Counter(address for carrier in carriers for call in carrier.calls for address in call)
print(json.dumps({"mailed": len(to), "most": max(to.values()),
                  "states": Counter(Delivery.objects.values_list("state", flat=True))}))
"""
PERMITS = """
from newsletter.permits import Limits, Permits
took = []
def take():
    permits = Permits("test", Limits(per_second=1000, per_day=150), lambda: dt.datetime(2026, 7, 8, 8, tzinfo=dt.UTC))
    took.extend(permits.take(1, 60) for _ in range(30))
for started in [thread(take) for _ in range(6)]:
    started.join()
places = sorted(round(1000 * permit.wait_s) for permit in took if permit.count)
print(json.dumps({"given": len(places), "places": len(set(places)), "last": places[-1]}))
"""


@pytest.fixture
def instance(tmp_path):
    with Instance(tmp_path, REDIS_URL="") as instance:
        instance.close_edition(readers=40)
        plan = "from newsletter.models import Edition; from newsletter.planning import plan; import datetime as dt; "
        plan += "plan(Edition.objects.get(), dt.datetime(2026, 7, 8, 8, tzinfo=dt.UTC))"
        instance.manage("shell", "-c", plan)
        yield instance


def tell(instance: Instance, scene: str):
    return json.loads(instance.manage("shell", "-v", "0", "-c", STORY + scene).strip().splitlines()[-1])


def test_rows_that_many_workers_mark_at_once_are_marked_by_one(instance):
    said = tell(instance, MARKS)

    assert said == {"took": [0] * 5 + [40], "units": 1, "attempts": [1]}


def test_a_mark_that_waited_for_a_cancellation_takes_nothing(instance):
    assert tell(instance, CANCEL) == {"waited": True, "took": [0], "states": {"skipped": 40}}


def test_a_turn_that_waited_for_a_cancellation_settles_the_last_unit_alone(instance):
    assert tell(instance, TURN) == {"waited": True, "took": [0], "states": {"accepted": 1, "skipped": 39}}


def test_workers_with_the_same_chunk_mail_each_reader_once(instance):
    assert tell(instance, WORKERS) == {"mailed": 40, "most": 1, "states": {"accepted": 40}}


def test_many_workers_share_a_providers_second_and_its_day_without_redis(instance):
    assert tell(instance, PERMITS) == {"given": 150, "places": 150, "last": 149}
