"""`preview` shows what a reader would get, from the lists that were asked for, with the evidence."""

import datetime as dt
import io
import json

import pytest
from django.core.management import CommandError, call_command

from subscribers.models import Interest, Mail, Subscriber
from tests.factories import make_paper

pytestmark = pytest.mark.django_db

FIRST, SECOND = dt.date(2026, 7, 1), dt.date(2026, 7, 2)


def preview(*arguments):
    out = io.StringIO()
    call_command("preview", *arguments, "--json", stdout=out)
    return json.loads(out.getvalue())


def ids(data):
    return [paper["id"] for paper in data["papers"]]


def test_the_answers_come_first_with_scores_and_evidence():
    robots = make_paper(list_date=FIRST, title="Robots that walk", upvotes=5)
    other = make_paper(list_date=FIRST, title="A survey of graphs", upvotes=50)

    data = preview("--interest", "robots")

    assert ids(data) == [robots.arxiv_id, other.arxiv_id]
    first, second = data["papers"]
    assert first["why"] == [{"interest": "robots", "field": "title", "text": "Robots that walk"}]
    assert second["why"] == []
    assert second["trending"] > first["trending"] > 0
    assert (data["considered"], data["muted"]) == (2, 0)
    assert set(first) == {"id", "title", "score", "trending", "why"}
    assert set(data) == {"papers", "considered", "muted"}


def test_a_mute_hides():
    make_paper(list_date=FIRST, title="Robots that walk")

    data = preview("--interest", "robots", "--mute", "robots that walk")

    assert (ids(data), data["muted"]) == ([], 1)


def test_the_newest_list_is_looked_at_unless_another_is_named():
    old = make_paper(list_date=FIRST, title="Robots")
    new = make_paper(list_date=SECOND, title="Robots")

    assert ids(preview("--interest", "robots")) == [new.arxiv_id]
    assert ids(preview("--interest", "robots", "--date", "2026-07-01")) == [old.arxiv_id]
    assert set(ids(preview("--interest", "robots", "--days", "2"))) == {old.arxiv_id, new.arxiv_id}


def test_a_list_whose_papers_are_all_hidden_is_no_list():
    seen = make_paper(list_date=FIRST)
    make_paper(list_date=SECOND, is_hidden=True)

    assert ids(preview("--interest", "claims nothing")) == [seen.arxiv_id]


def test_the_limit_is_that_of_the_whole_mail():
    for _ in range(12):
        make_paper(list_date=FIRST, title="Robots")

    assert len(ids(preview("--interest", "robots", "--limit", "4"))) == 4
    assert len(ids(preview("--interest", "robots"))) == 10


def test_people_get_lines_that_they_can_read():
    make_paper(list_date=FIRST, title="Robots that walk")
    out = io.StringIO()

    call_command("preview", "--interest", "robots", stdout=out)

    assert "Papers: 1, matching: 1, muted: 0\n\nFor you\n" in out.getvalue()
    assert "robots (title): Robots that walk" in out.getvalue()


@pytest.mark.parametrize("option", ["--interest", "--mute"])
def test_what_cannot_be_read_is_pointed_at(option):
    make_paper(list_date=FIRST)

    with pytest.raises(CommandError, match="never closed") as refused:
        call_command("preview", "--interest", "robots", option, 'foo "bar')

    assert refused.value.returncode == 2
    assert str(refused.value).endswith('  foo "bar\n      ^')


def test_a_store_without_papers_says_what_to_do():
    with pytest.raises(CommandError, match="ingest --source huggingface`") as refused:
        call_command("preview", "--interest", "robots")

    assert refused.value.returncode == 1


def test_a_date_without_a_list_says_what_to_do():
    make_paper(list_date=FIRST)

    with pytest.raises(CommandError, match="ingest --source huggingface --date 2026-06-30`"):
        call_command("preview", "--interest", "robots", "--date", "2026-06-30")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--date", "yesterday"],
        ["--date", "9999-01-01"],
        ["--days", "0"],
        ["--days", "-1"],
        ["--limit", "many"],
        ["--date", "2026-07-01", "--days", "2"],
    ],
)
def test_wrong_usage_is_refused(arguments):
    make_paper(list_date=FIRST)

    with pytest.raises(CommandError):
        call_command("preview", "--interest", "robots", *arguments)


def test_a_preview_leaves_nothing_behind():
    make_paper(list_date=FIRST, title="Robots")

    preview("--interest", "robots")

    assert not Subscriber.objects.exists()
    assert not Interest.objects.exists()
    assert not Mail.objects.exists()


def test_the_number_of_queries_does_not_grow_with_the_papers(django_assert_max_num_queries):
    for n in range(40):
        make_paper(list_date=FIRST, title=f"Robots {n}")

    with django_assert_max_num_queries(10):
        preview("--interest", "robots")


def test_a_list_may_be_longer_than_any_mail():
    for n in range(60):
        make_paper(list_date=FIRST, title="Robots" if n < 40 else "Graphs")

    data = preview("--interest", "robots", "--limit", "50")

    assert [bool(paper["why"]) for paper in data["papers"]] == [True] * 40 + [False] * 10
