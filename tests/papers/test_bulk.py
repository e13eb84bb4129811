"""Rows in bulk come back as they were given, in both databases."""

import json

import pytest

from newsletter.models import DeliveryPicks
from papers import bulk
from tests.factories import make_delivery, make_edition
from tests.newsletter.instance import Instance

# What a text format could mistake for its own marks.
HOSTILE = ["\t\n\r\\", "\\N", "\\.", "\"'{}", "é漢😀\u2028", ""]
PICKS = {"paper_ids": [1, 2], "details": [{"text": text, "marks": [[0, 1]]} for text in HOSTILE], "counts": {"n": 0.5}}
FILLED = f"""
import json
from newsletter.models import Delivery, DeliveryPicks
from papers import bulk
picks = json.loads({json.dumps(json.dumps(PICKS))})
DeliveryPicks.objects.all().delete()
bulk.fill(DeliveryPicks, [picks | {{"delivery": pk}} for pk in Delivery.objects.values_list("pk", flat=True)])
print(json.dumps(list(DeliveryPicks.objects.values("form", *picks))))
"""


@pytest.mark.django_db
def test_rows_that_are_filled_in_come_back_as_they_were():
    delivery = make_delivery(make_edition(papers=()))
    DeliveryPicks.objects.all().delete()

    bulk.fill(DeliveryPicks, [PICKS | {"delivery": delivery.pk}])

    assert list(DeliveryPicks.objects.values("delivery", "form", *PICKS)) == [
        PICKS | {"delivery": delivery.pk, "form": "digest"}
    ]


@pytest.mark.services
def test_rows_that_are_copied_into_postgresql_come_back_as_they_were(tmp_path):
    with Instance(tmp_path, REDIS_URL="") as instance:
        instance.close_edition(readers=3)
        instance.manage("deliver", "--now", "2026-07-08T08:00")

        printed = instance.manage("shell", "-c", FILLED)

    assert json.loads(printed.splitlines()[-1]) == [PICKS | {"form": "digest"}] * 3
