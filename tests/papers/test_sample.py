"""The sample looks like three days of papers, claims nothing about anybody, and is enough to try Paperboy out."""

import datetime as dt

import pytest

from papers.index import Document, PaperIndex
from papers.ingest import Counts, store
from papers.models import Paper
from papers.query import parse
from papers.ranking import answers, hides
from papers.sample import sample_pages

TODAY = dt.date(2026, 7, 4)


@pytest.fixture(scope="module")
def index():
    records = [record for page in sample_pages(TODAY).values() for record in page]
    return PaperIndex(Document(n, r.title, r.abstract, r.keywords) for n, r in enumerate(records))


def test_thirty_papers_stand_on_the_three_days_before_today():
    pages = sample_pages(TODAY)
    records = [record for page in pages.values() for record in page]

    assert list(pages) == [dt.date(2026, 7, 1), dt.date(2026, 7, 2), dt.date(2026, 7, 3)]
    assert len({record.arxiv_id for record in records}) == 30
    assert all(record.arxiv_id.startswith("9912.") and record.is_sample for record in records)
    assert all(record.list_date == date for date, page in pages.items() for record in page)


def test_it_links_to_nobody():
    for page in sample_pages(TODAY).values():
        for record in page:
            assert record.code_url == record.project_url == record.thumbnail_url == ""
            assert "http" not in record.abstract + record.tldr + record.title


def test_every_paper_has_what_a_card_shows():
    records = [record for page in sample_pages(TODAY).values() for record in page]

    assert all(record.authors and record.tldr and record.categories and record.keywords for record in records)
    assert all(60 <= len(record.abstract.split()) <= 150 for record in records)
    assert min(record.upvotes or 0 for record in records) == 0
    assert max(record.upvotes or 0 for record in records) > 100


@pytest.mark.parametrize(
    "interest",
    ["diffusion models", "language models", "robot", "graph neural networks", "speech", '"chain of thought"'],
)
def test_common_interests_find_some_papers_and_not_all(index, interest):
    assert 1 <= len(answers(index, parse(interest))) <= 10


def test_muting_surveys_hides_something(index):
    assert hides(index, parse("survey"))


def test_an_interest_can_find_nothing(index):
    assert answers(index, parse("marine archaeology")) == {}


@pytest.mark.django_db
def test_it_is_stored_like_any_list_and_twice_is_once():
    now = dt.datetime(2026, 7, 4, tzinfo=dt.UTC)
    pages = sample_pages(TODAY)

    first = [store("huggingface", page, date, now) for date, page in pages.items()]
    second = [store("huggingface", page, date, now) for date, page in pages.items()]

    assert first == [Counts(new=10, updated=0, listed=10)] * 3
    assert second == [Counts()] * 3
    assert Paper.objects.filter(is_sample=True).count() == 30
    assert not any(paper.abstract_url or paper.pdf_url for paper in Paper.objects.all())
