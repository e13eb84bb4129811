"""The deliveries of a chunk are read as their models would read them, and their mails need no query more."""

import pytest
from django.core.exceptions import ObjectDoesNotExist

from newsletter import loading, messages, rendering
from newsletter.models import Delivery, DeliveryPicks
from tests.factories import make_digest, make_edition, make_paper

pytestmark = pytest.mark.django_db


@pytest.fixture
def stored():
    edition = make_edition(papers=(make_paper(), make_paper()))
    return [make_digest(edition, count=2) for _ in range(3)]


def rows():
    return Delivery.objects.order_by("pk")


def test_every_value_is_that_of_the_model(stored):
    for delivery, model in zip(loading.deliveries(rows()), rows().select_related("subscriber", "picks"), strict=True):
        with loading.unfolded(delivery):
            picks = vars(delivery.picks)
            assert delivery.picks.details
            assert {name: picks[name] for name in [*loading.PICKS, "details"]} == {
                name: getattr(model.picks, name) for name in [*loading.PICKS, "details"]
            }
        for read, expected, names in (
            (delivery, model, loading.DELIVERY),
            (delivery.subscriber, model.subscriber, loading.SUBSCRIBER),
        ):
            assert {name: vars(read)[name] for name in names} == {name: getattr(expected, name) for name in names}
        assert (delivery, delivery.subscriber, delivery.picks) == (model, model.subscriber, model.picks)


def test_what_was_not_read_is_there_all_the_same(stored):
    first, *_ = loading.deliveries(rows())

    assert first.message_id == stored[0].message_id
    assert first.subscriber.state == "active"
    assert first.picks.details == stored[0].picks.details


def test_the_mails_are_made_without_a_query(stored, django_assert_num_queries):
    deliveries = loading.deliveries(rows())
    of = rendering.material(deliveries)

    with django_assert_num_queries(0):
        for delivery in deliveries:
            with loading.unfolded(delivery):
                assert messages.message(delivery, of).to == [delivery.subscriber.email]


def test_the_deliveries_of_an_edition_are_read_in_two_queries(stored, django_assert_num_queries):
    with django_assert_num_queries(2):
        read = loading.deliveries(rows())

    assert len({id(delivery.edition) for delivery in read}) == 1


def test_a_delivery_without_picks_is_read_like_the_others(stored, django_assert_num_queries):
    DeliveryPicks.objects.filter(delivery=stored[1]).delete()
    _, broken, _ = loading.deliveries(rows())

    with django_assert_num_queries(0), pytest.raises(ObjectDoesNotExist), loading.unfolded(broken):
        pass


def test_nothing_is_read_of_nothing():
    assert loading.deliveries(Delivery.objects.none()) == []
