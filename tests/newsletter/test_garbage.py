"""While a chunk is sent nobody looks for garbage, so that nothing of it may need that to go."""

import gc

import pytest
from django.utils import timezone

from newsletter.models import Delivery
from newsletter.sending import deliver_chunk
from subscribers.emails import Outcome
from subscribers.mime import PreparedMessage
from tests.factories import make_digest, make_edition, make_paper
from tests.newsletter.carriers import Batches, OneByOne

pytestmark = pytest.mark.django_db


@pytest.fixture
def chunk_id():
    edition = make_edition(papers=(make_paper(),))
    first, *_ = [make_digest(edition, count=1) for _ in range(3)]
    return first.chunk_id


@pytest.fixture(autouse=True)
def _enabled_after():
    yield
    gc.enable()


@pytest.mark.parametrize("was_enabled", [True, False])
def test_garbage_is_collected_after_a_chunk_if_it_was_before(chunk_id, was_enabled):
    (gc.enable if was_enabled else gc.disable)()
    during = []

    def answer(_message):
        during.append(gc.isenabled())
        return Outcome("accepted")

    deliver_chunk(chunk_id, timezone.now(), carriers=[OneByOne(answer)])

    assert gc.isenabled() == was_enabled
    assert during == [False] * 3


@pytest.mark.parametrize("carrier", [Batches(2), OneByOne(lambda _: Outcome("accepted"))], ids=["batch", "one by one"])
def test_nothing_of_a_chunk_is_garbage_that_must_be_looked_for(chunk_id, carrier):
    gc.collect()
    gc.disable()
    before = of_a_chunk()

    assert deliver_chunk(chunk_id, timezone.now(), carriers=[carrier]) == {"sent": 3}

    assert of_a_chunk() == before


def of_a_chunk() -> int:
    return sum(type(each) in {Delivery, PreparedMessage} for each in gc.get_objects())
