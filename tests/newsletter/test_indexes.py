"""What is kept of an edition's papers between two calls of planning, and when it is made anew."""

import datetime as dt

import pytest
from django.utils import timezone

from newsletter import indexes
from newsletter.contents import Book
from newsletter.models import Edition
from newsletter.planning import plan
from papers.models import Paper
from subscribers.candidates import Candidates
from tests.factories import make_edition, make_paper, make_subscriber

pytestmark = pytest.mark.django_db

D = dt.date(2026, 7, 8)
DAY = dt.timedelta(days=1)
SEVEN = dt.datetime(2026, 7, 8, 7, tzinfo=dt.UTC)


@pytest.fixture
def edition() -> Edition:
    return make_edition(D, papers=(make_paper(title="Robots that fold towels"), make_paper(title="Robots that cook")))


def found(edition: Edition, since: dt.date = D) -> Candidates:
    """What a new call of planning chooses from."""
    return Book(edition).covered(since).candidates


def planned_papers(edition: Edition, interest: str) -> list[int]:
    """What a new reader gets who follows an interest and wants nothing else."""
    reader = make_subscriber(interests=(interest,), wants_trending=False, wants_trending_if_no_match=False)
    plan(edition, SEVEN)
    picks = edition.deliveries.filter(subscriber=reader, state="pending").values_list("picks__paper_ids", flat=True)
    return picks[0] if picks else []


def test_the_next_call_finds_the_papers_indexed_and_the_interests_matched(edition, django_assert_num_queries):
    first = found(edition)
    first.learn(["robot"], [])

    with django_assert_num_queries(2):  # the editions, and the candidates without their texts
        second = found(edition)

    assert second is first


def test_a_paper_hidden_after_the_first_call_is_in_no_pick_of_the_next(edition):
    towels, cook = Paper.objects.order_by("pk")
    assert sorted(planned_papers(edition, "robots")) == [towels.pk, cook.pk]

    Paper.objects.filter(pk=towels.pk).update(is_hidden=True)
    assert planned_papers(edition, "robots") == [cook.pk]
    Paper.objects.filter(pk=towels.pk).update(is_hidden=False)
    assert sorted(planned_papers(edition, "robots")) == [towels.pk, cook.pk]


def test_a_paper_withdrawn_after_the_first_call_is_in_no_pick_of_the_next(edition):
    towels, cook = Paper.objects.order_by("pk")
    assert sorted(planned_papers(edition, "robots")) == [towels.pk, cook.pk]

    Paper.objects.filter(pk=towels.pk).update(is_withdrawn=True)

    assert planned_papers(edition, "robots") == [cook.pk]


def test_a_paper_whose_text_changed_is_found_by_its_new_words(edition):
    assert planned_papers(edition, "weather") == []

    towels = Paper.objects.get(title__contains="towels")
    towels.title = "Weather from above"
    towels.save()

    assert planned_papers(edition, "weather") == [towels.pk]


def test_what_an_interest_is_like_is_looked_at_anew_after_a_while(edition, monkeypatch):
    first = found(edition)
    monkeypatch.setattr(indexes, "KEPT_FOR_S", 0.0)

    assert found(edition) is not first


def test_another_encoder_finds_other_papers(edition, settings):
    first = found(edition)
    settings.ENCODER_PATH = "/another/folder"  # of no encoder, as ENCODER is not set

    assert found(edition) is not first


def test_two_spans_have_their_own_index_and_both_are_kept(edition):
    yesterdays = make_paper(title="Robots of yesterday")
    edition.papers.create(paper=yesterdays, role="earlier", new_on=D - DAY, score=1, rank=3)

    day, two = found(edition), found(edition, D - DAY)

    assert (len(day), len(two)) == (2, 3)
    assert found(edition) is day
    assert found(edition, D - DAY) is two


def test_the_index_of_one_edition_is_kept_and_of_one_no_more_than_its_spans(edition, monkeypatch):
    monkeypatch.setattr(indexes, "MOST_KEPT", 1)
    first, now = found(edition), timezone.now()
    Paper.objects.update(changed_at=now)
    second = found(edition)
    assert found(edition) is second
    assert second is not first

    found(make_edition(D + DAY, papers=(make_paper(title="Weather"),)), D + DAY)

    assert found(edition) is not second
