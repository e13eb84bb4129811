"""A body joined out of encoded pieces decodes to its text, whatever the text and wherever it is cut."""

import json
import quopri
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscribers import emails
from subscribers.mime import Body, Piece, encoded
from tests.factories import make_subscriber

# Carriage returns are no text: what a line ends in is the transport's business.
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r")) | st.sampled_from(
    [".", "..", "\n.\n..x", "x" * 200, "=" * 80, " \n \n", "a \t", "é" * 60, "line\n" * 3, "." * 100]
)


@given(st.lists(st.tuples(texts, st.booleans())))
def test_joined_pieces_decode_to_their_text(parts):
    body = Body([Piece(text) if is_shared else text for text, is_shared in parts])

    assert str(body) == "".join(text for text, _ in parts)
    assert quopri.decodestring(body.encoded()).replace(b"\r\n", b"\n").decode() == str(body)


@given(st.lists(st.tuples(texts, st.booleans())))
def test_joined_pieces_are_the_json_of_their_text(parts):
    body = Body([Piece(text) if is_shared else text for text, is_shared in parts])

    assert body.json() == json.dumps(str(body))[1:-1].encode()


@given(texts)
def test_an_encoded_piece_is_whole_short_lines_of_ascii(text):
    lines = encoded(text).split(b"\r\n")

    assert lines.pop() == b""
    assert all(len(line) <= 76 and re.fullmatch(rb"[\t\x20-\x7e]*", line) for line in lines)
    assert not any(line.startswith(b".") or line.endswith((b" ", b"\t")) for line in lines)
    assert not any(b"=_" in line for line in lines)


def message(**changes):
    values: dict[str, Any] = {"subject": "S", "text": "T\n", "html": "<p>H</p>", "from_email": "digest@example.org"}
    names = {"message_id": "<1@example.org>", "opaque_id": "abc", "list_unsubscribe": False}
    return emails.compose(make_subscriber(), **(values | names | changes))


@pytest.mark.django_db
@pytest.mark.parametrize("others", [{"to": ["a@example.org", "b@example.org"]}, {"to": []}, {"cc": ["c@example.org"]}])
def test_a_message_to_anybody_but_one_reader_cannot_be_serialised(others):
    mail = message()
    for name, value in others.items():
        setattr(mail, name, value)

    with pytest.raises(ValueError, match="recipients"):
        mail.as_bytes()


@pytest.mark.django_db
def test_what_changes_the_message_of_a_mail_changes_the_bytes_of_that():
    changed = message().message()
    changed["X-Tag"] = "one"

    assert b"\r\nX-Tag: one\r\n" in changed.as_bytes(linesep="\r\n")


@pytest.mark.parametrize(
    ("text", "wrapped"),
    [
        ("short " * 3, "short " * 3),
        ("word " * 20, "\n".join([("word " * 15).rstrip(), "word word word word word "])),
        ("x" * 100, "x" * 100),
        ("a " + "x" * 100 + " b", "a\n" + "x" * 100 + "\nb"),
        ("-- \n" + "y" * 78 + "\n", "-- \n" + "y" * 78 + "\n"),
    ],
)
def test_a_text_is_wrapped_between_words(text, wrapped):
    assert emails.wrapped(text) == wrapped
