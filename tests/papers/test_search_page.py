"""The search page finds papers in the readers' language, shows why, and says what it cannot read."""

import pytest

from papers.ranking import Evidence
from papers.templatetags.marks import marked
from tests.factories import make_paper

pytestmark = pytest.mark.django_db


def search(client, line: str, status: int = 200, **parameters: object) -> str:
    response = client.get("/search", {"q": line, **parameters})
    assert response.status_code == status
    assert not response.cookies
    assert response["X-Robots-Tag"] == "noindex"
    return str(response.content.decode())


def test_without_a_line_it_says_what_can_be_written(client):
    page = search(client, "  ")

    assert "What you can write" in page
    assert 'href="?q=robot+-surgery"' in page


def test_a_result_shows_where_it_answers(client):
    make_paper(title="On birds", abstract="It rains. We study graph learners & <graph learning>. It ends.")
    make_paper(title="Graph learning on <i>birds</i>", abstract="Nothing here.")
    make_paper(title="Keyword", keywords=["graph learning"])

    page = search(client, "graph learning")

    assert "We study graph learners &amp; &lt;<mark>graph learning</mark>&gt;." in page
    assert "It rains." not in page
    assert "<mark>Graph learning</mark> on &lt;i&gt;birds&lt;/i&gt;</a>" in page
    assert "Keywords:</span> <mark>graph learning</mark>" in page
    assert "Only some of the words" not in page


def test_what_only_holds_some_of_the_words_stands_apart(client):
    make_paper(title="Singing lessons", abstract="On learning.")
    make_paper(title="Graph learning")

    page = search(client, "graph learning")

    assert "2 papers hold some of it" in page
    assert page.index("Graph learning</") < page.index("Only some of the words") < page.index("Singing lessons")


def test_a_line_that_cannot_be_read_is_kept_and_its_place_is_marked(client):
    page = search(client, 'robot foo:bar "<b>"', status=422)

    assert 'value="robot foo:bar &quot;&lt;b&gt;&quot;"' in page
    assert "is no field" in page
    assert "robot <mark>foo:bar</mark> &quot;&lt;b&gt;&quot;" in page


@pytest.mark.parametrize("line", ["(" * 100_000, "a" * 10_000, '"', "-x", "\x00", "\u202e -", "OR", "author:"])
def test_no_line_is_too_odd_for_an_answer(client, line):
    assert client.get("/search", {"q": line}).status_code in {200, 422}


def test_a_paper_to_be_like_that_is_not_here_is_named(client):
    make_paper(arxiv_id="2401.00001", title="Robots")

    assert "2401.99999 is not among the papers here" in search(client, "like:2401.99999")
    assert "is not among" not in search(client, "like:2401.00001")


def test_nothing_found_says_what_to_do(client):
    page = search(client, "zebra")

    assert "No paper here holds any of these words" in page
    assert 'href="#sign-up"' in page


def test_pages_hold_each_paper_once(client):
    for number in range(130):
        make_paper(title=f"Robots number{number:03d}")

    pages = [search(client, "robot", page=number) for number in range(1, 8)]

    shown = [number for page in pages for number in range(130) if f"number{number:03d}" in page]
    assert sorted(shown) == list(range(130))
    assert [page.count("number") for page in pages] == [20] * 6 + [10]
    assert 'href="?q=robot&amp;page=2" rel="next"' in pages[0]
    assert 'rel="prev"' not in pages[0]
    assert 'rel="next"' not in pages[-1]
    assert "There are no more papers." in search(client, "robot", page=8)


@pytest.mark.parametrize("number", ["0", "-1", "x", "", "٣", "1e3"])
def test_what_is_no_page_is_the_first(client, number):
    make_paper(title="Robots")

    assert "Robots" in search(client, "robot", page=number)


def test_the_page_reads_the_same_number_of_rows_sets_however_many_are_found(client, django_assert_max_num_queries):
    for _ in range(30):
        make_paper(title="Robots")
    with django_assert_max_num_queries(9):
        search(client, "robot")


def test_every_page_has_a_search_box_that_needs_no_script(client):
    page = client.get("/").content.decode()

    assert '<form class="search" role="search" action="/search">' in page
    assert 'name="q"' in page


def test_no_character_is_marked_twice():
    evidence = Evidence("title", "a <b> c", ((2, 5), (0, 3), (2, 5)))

    assert marked(evidence) == "<mark>a &lt;</mark><mark>b&gt;</mark> c"
