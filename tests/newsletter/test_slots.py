"""Templates that are rendered once stand open for values, and for nothing that only looks like one."""

import pytest

from newsletter import slots
from newsletter.slots import HOLE, MARK, Fixed, Slot


def test_contexts_of_one_shape_differ_in_their_strings_alone():
    def context(title: str, *names: str) -> dict[str, object]:
        return {"title": title, "site": Fixed("Paperboy"), "names": tuple({"name": name} for name in names), "n": 3}

    one: list[str] = []
    two: list[str] = []

    assert slots.shape(context("A", "b", "c"), one) == slots.shape(context("D", "e", "f"), two)
    assert (one, two) == (["A", "b", "c"], ["D", "e", "f"])
    assert slots.shape(context("A", "b"), []) != slots.shape(context("A", "b", "c"), [])
    assert slots.shape(context("", "b"), []) != slots.shape(context("A", "b"), [])


def test_a_value_goes_where_its_marker_came_out():
    marked = slots.marked({"title": "x", "names": ("y", "z")})
    parts = slots.cut(f"<b>{marked['names'][1]}</b>{marked['title']}{HOLE}.", shortest_piece=100)

    assert parts == ("<b>", Slot(2), "</b>", Slot(0), None, ".")
    assert slots.fill(parts, ["T", "N", "M"], [["content"]]) == ["<b>", "M", "</b>", "T", "content", "."]


def test_a_value_that_holds_a_marker_opens_nothing():
    parts = slots.cut(f"{slots.marked('x')}|{HOLE}")

    assert "".join(map(str, slots.fill(parts[:1], [HOLE]))) == HOLE


@pytest.mark.parametrize("spoil", [str.upper, str.title])
def test_a_filter_that_changes_a_marker_is_found(spoil):
    with pytest.raises(ValueError, match="changes a value"):
        slots.cut(spoil(slots.marked("x")))


def test_no_shape_holds_what_cannot_be_compared():
    with pytest.raises(TypeError):
        slots.shape({"papers": {1, 2}}, [])


def test_the_marker_is_nothing_that_a_title_can_foresee():
    assert len(MARK) >= 24


def test_another_content_of_a_template_is_another_version(tmp_path, settings):
    (tmp_path / "emails").mkdir()
    page = tmp_path / "emails" / "digest.html"
    versions = []
    for text in ("one", "two", "one"):
        page.write_text(text)
        settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [tmp_path]}]
        versions.append(slots.version(["emails/digest.html"]))

    assert versions[0] == versions[2] != versions[1]
