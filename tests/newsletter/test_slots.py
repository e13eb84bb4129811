"""Templates that are rendered once stand open for values, and for nothing that only looks like one."""

from typing import Any

import pytest

from newsletter import slots
from newsletter.slots import HOLE, MARK, Open, slot
from subscribers.mime import MAIL_TOKEN, READER_TOKEN, Body, Piece


def text_of(pieces: slots.Pieces) -> list[str]:
    return [{MAIL_TOKEN: "MAIL", READER_TOKEN: "READER"}.get(piece, piece.text) for piece in pieces]


def filled(rendered: str, strings: list[str], *holes: str) -> str:
    def made(line: Open, said: Any) -> slots.Pieces:
        return line.pieces(line.form % said)

    pieces = slots.fill(slots.cut(rendered), strings, [[Piece(hole)] for hole in holes], made)
    return str(Body(pieces, {MAIL_TOKEN: "MAIL", READER_TOKEN: "READER"}))


def test_a_value_goes_where_its_slot_came_out():
    rendered = f"100 %s\n<b>{slot(2)}</b>{slot(0)}\n{slot(1)}\n{HOLE}."

    assert filled(rendered, ["T", "50 %", "M"], "content") == "100 %s\n<b>M</b>T\n50 %\ncontent."


def test_a_token_goes_where_it_came_out_beside_a_slot_or_not():
    rendered = f"/m/{slots.MAIL}/\n{slot(0)} /u/{slots.READER}\n"

    assert filled(rendered, ["Leave:"]) == "/m/MAIL/\nLeave: /u/READER\n"


def test_what_stands_between_two_slots_is_finished_once_and_in_whole_lines():
    finish = {f"one\ntwo {slots.MAIL}\n": f"1\n2 {slots.MAIL}\n", "three\n": "3\n"}.__getitem__

    lines, line, rest = slots.cut(f"one\ntwo {slots.MAIL}\n{slot(0)}\nthree\n", finish)[0]

    assert isinstance(lines, tuple)
    assert isinstance(rest, tuple)
    assert (text_of(lines), text_of(rest)) == (["1\n2 ", "MAIL", "\n"], ["3\n"])
    assert isinstance(line, Open)


def test_a_value_that_holds_a_marker_opens_nothing():
    assert filled(slot(0), [f"{HOLE}{slots.MAIL}"]) == f"{HOLE}{slots.MAIL}"


@pytest.mark.parametrize("spoil", [str.upper, str.title])
@pytest.mark.parametrize("marker", [slot(0), slots.MAIL, f"{slot(0)}{slots.READER}"], ids=["slot", "token", "both"])
def test_a_filter_that_changes_a_marker_is_found(spoil, marker):
    with pytest.raises(ValueError, match="changes a value"):
        slots.cut(spoil(marker))


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
