"""Of several sources that tell of one paper, the better one's word stays, whoever speaks last."""

import datetime as dt

import pytest

from papers.ingest import store
from papers.merging import OPERATOR, WINNERS
from papers.models import Paper
from tests.factories import make_paper, make_record

pytestmark = pytest.mark.django_db

DATE = dt.date(2026, 7, 1)
NOW = dt.datetime(2026, 7, 1, 12, tzinfo=dt.UTC)
ID = "2607.00001"


def tell(source: str, **fields: object) -> Paper:
    store(source, [make_record(**{"arxiv_id": ID, **fields})], DATE, NOW)
    return Paper.objects.get()


@pytest.mark.parametrize("order", [("arxiv", "huggingface"), ("huggingface", "arxiv")])
def test_one_work_from_two_sources_is_one_paper_with_the_best_of_both(order):
    said = {
        "arxiv": {
            "title": "arXiv's title",
            "authors": ("All", "Of", "Them"),
            "categories": ("cs.CL",),
            "version": 2,
            "comment": "12 pages",
            "is_withdrawn": False,
            "upvotes": None,
        },
        "huggingface": {
            "title": "HF's title",
            "authors": ("One",),
            "tldr": "Short.",
            "organisation": "A Lab",
            "upvotes": 7,
        },
    }
    for source in order:
        tell(source, **said[source])

    paper = tell("huggingface", **said["huggingface"])

    assert (paper.title, paper.authors, paper.categories) == ("arXiv's title", ["All", "Of", "Them"], ["cs.CL"])
    assert (paper.version, paper.comment, paper.tldr, paper.organisation) == (2, "12 pages", "Short.", "A Lab")
    assert paper.upvotes == 7
    assert (paper.told_by["title"], paper.told_by["tldr"]) == ("arxiv", "huggingface")
    assert sorted(paper.listings.values_list("source", flat=True)) == ["arxiv", "huggingface"]


def test_a_source_may_correct_itself():
    tell("huggingface", title="Before")

    assert tell("huggingface", title="After").title == "After"


def test_what_the_better_source_does_not_say_the_other_tells():
    tell("arxiv", abstract="")

    assert tell("huggingface", abstract="Theirs.").abstract == "Theirs."


def test_an_older_version_only_fills_gaps():
    tell("arxiv", version=3, title="Newest", comment="")

    paper = tell("arxiv", version=2, title="Old", comment="12 pages")

    assert (paper.version, paper.title, paper.comment) == (3, "Newest", "12 pages")


def test_a_withdrawal_is_undone_by_a_newer_version_and_by_no_older_one():
    tell("arxiv", version=2, is_withdrawn=True)
    assert tell("huggingface").is_withdrawn
    assert tell("arxiv", version=1, is_withdrawn=False).is_withdrawn
    assert tell("arxiv", version=3).is_withdrawn  # the feed does not say

    assert not tell("arxiv", version=3, is_withdrawn=False).is_withdrawn
    assert not tell("arxiv", version=2, is_withdrawn=True).is_withdrawn


def test_what_the_operator_wrote_stays():
    tell("arxiv", title="Wrong", tldr="")
    Paper.objects.update(title="Right", told_by={"title": OPERATOR, "tldr": OPERATOR})

    paper = tell("arxiv", title="Wrong", tldr="Unwanted.")

    assert (paper.title, paper.tldr) == ("Right", "")


def test_a_third_source_comes_after_those_that_are_named():
    tell("third", title="Third's", code_url="https://code.example.org/3")
    assert tell("huggingface", title="HF's").title == "HF's"

    paper = tell("third", title="Third's", code_url="https://code.example.org/3")

    assert (paper.title, paper.code_url) == ("HF's", "https://code.example.org/3")


def test_a_row_of_before_anybody_kept_count_is_taken_over():
    make_paper(arxiv_id=ID, title="Older than told_by", tldr="Kept.")

    paper = tell("huggingface", title="New")

    assert (paper.title, paper.tldr) == ("New", "Kept.")


def test_every_field_that_a_source_can_tell_has_its_winners():
    told = {field.name for field in Paper._meta.get_fields() if field.name in make_record().__dataclass_fields__}

    assert told - {"arxiv_id", "is_sample", "upvotes", "comment_count", "github_stars"} == WINNERS.keys()


# News of papers ------------------------------------------------------------------------------------


def test_a_replacement_updates_a_known_paper_and_makes_no_listing():
    tell("arxiv", version=1)

    counts = store("arxiv", [make_record(arxiv_id=ID, version=2, title="v2", is_listed=False)], DATE, NOW)

    assert (counts.new, counts.updated, counts.listed) == (0, 1, 0)
    assert (Paper.objects.get().title, Paper.objects.get().listings.count()) == ("v2", 1)


def test_a_replacement_of_a_paper_that_nobody_listed_is_not_stored():
    counts = store("arxiv", [make_record(is_listed=False)], DATE, NOW)

    assert (counts.new, Paper.objects.count()) == (0, 0)


def test_arxiv_announces_a_paper_once():
    tell("arxiv")
    tomorrow = DATE + dt.timedelta(days=1)

    counts = store("arxiv", [make_record(arxiv_id=ID)], tomorrow, NOW)

    assert counts.listed == 0
    assert Paper.objects.get().listings.get().list_date == DATE
