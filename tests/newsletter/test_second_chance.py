"""A paper that was not sent when it was new comes once more when it takes off: once, and never to who had it."""

import datetime as dt

import pytest
from django.utils import timezone

from newsletter import messages, planning
from newsletter.models import Delivery, Edition, EditionPaper
from papers.models import Paper
from tests.factories import make_edition, make_paper, make_subscriber

pytestmark = pytest.mark.django_db

D = dt.date(2026, 7, 8)
DAY = dt.timedelta(days=1)


@pytest.fixture
def late() -> Paper:
    """A paper on robots that was new three editions ago, with 6 upvotes, and has 94 now."""
    return make_paper(title="Robots that came late", upvotes=94)


@pytest.fixture
def editions(late) -> list[Edition]:
    """Four editions, the newest first; the newest holds the late paper as one that takes off."""
    found = [make_edition(D - n * DAY, papers=(make_paper(title=f"Robots, part {n}"),)) for n in range(3)]
    oldest = make_edition(D - 3 * DAY, papers=(late,))
    EditionPaper.objects.filter(paper=late).update(upvotes=6)
    take_off(found[0], late)
    return [*found, oldest]


def take_off(edition: Edition, paper: Paper) -> None:
    EditionPaper.objects.create(
        edition=edition, paper=paper, role="earlier", new_on=D - 3 * DAY, takes_off=True, score=99, upvotes=94, rank=9
    )


def had(reader, edition: Edition, *papers: int) -> Delivery:
    """The reader's accepted digest of an edition, with these papers."""
    delivery = planning.draft(edition, reader, dt.datetime.combine(edition.date, dt.time(9), dt.UTC))
    delivery.state, delivery.accepted_at = "accepted", timezone.now()
    delivery.local_date = edition.date
    delivery.save()
    delivery.picks.delivery, delivery.picks.paper_ids = delivery, list(papers)
    delivery.picks.save()
    return delivery


def digest_of(reader, edition: Edition) -> Delivery:
    return planning.draft(edition, reader, dt.datetime.combine(edition.date, dt.time(9), dt.UTC))


def test_it_comes_for_you_with_how_it_took_off(editions, late):
    reader = make_subscriber(interests=("robots",))
    had(reader, editions[1])

    delivery = digest_of(reader, editions[0])

    detail = delivery.picks.details[-1]
    assert (detail["paper"], detail["section"]) == (late.pk, "for_you")
    assert detail["then"] == {"upvotes": 6, "days": 3}
    message = messages.message(delivery)
    for body in (str(message.body), str(message.alternatives[0][0])):
        assert "It takes off: from 6 to 94 upvotes in 3 days" in body
    assert 'You follow "robots"' in str(message.body).rpartition("It takes off")[2]


def test_who_was_sent_it_does_not_get_it_again(editions, late):
    reader = make_subscriber(interests=("robots",))
    had(reader, editions[3], late.pk)
    had(reader, editions[1])

    assert late.pk not in digest_of(reader, editions[0]).picks.paper_ids


def test_it_comes_once(editions, late):
    reader = make_subscriber(interests=("robots",))
    had(reader, editions[1])
    had(reader, editions[0], late.pk)
    tomorrow = make_edition(D + DAY, papers=(make_paper(title="Robots of tomorrow"),))
    take_off(tomorrow, late)

    assert late.pk not in digest_of(reader, tomorrow).picks.paper_ids


def test_it_comes_to_nobody_whose_interests_it_does_not_answer_or_who_muted_it(editions, late):
    stranger = make_subscriber(interests=("cooking",))
    muter = make_subscriber(interests=("robots",), mutes=("late",))

    assert late.pk not in digest_of(stranger, editions[0]).picks.paper_ids
    assert late.pk not in digest_of(muter, editions[0]).picks.paper_ids


def test_in_a_digest_that_covers_its_edition_it_is_no_second_chance(editions, late):
    reader = make_subscriber(interests=("robots",), frequency="weekly")
    before = make_edition(D - 4 * DAY, papers=(make_paper(title="Robots of old"),))
    had(reader, before)

    details = digest_of(reader, editions[0]).picks.details

    assert [("then" in detail) for detail in details if detail["paper"] == late.pk] == [False]


def test_a_paper_that_does_not_take_off_has_none(editions, late):
    EditionPaper.objects.update(takes_off=False)
    reader = make_subscriber(interests=("robots",))
    had(reader, editions[1])

    assert late.pk not in digest_of(reader, editions[0]).picks.paper_ids
