"""A body joined out of encoded pieces decodes to its text, whatever the text and wherever it is cut."""

import json
import quopri
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscribers import emails
from subscribers.mime import MAIL_TOKEN, READER_TOKEN, Body, Piece, encoded
from tests.factories import make_subscriber

# Carriage returns are no text: what a line ends in is the transport's business.
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r")) | st.sampled_from(
    [".", "..", "\n.\n..x", "x" * 200, "=" * 80, " \n \n", "a \t", "é" * 60, "line\n" * 3, "." * 100]
)


bodies = st.builds(
    Body,
    st.lists(st.builds(Piece, texts) | st.sampled_from([MAIL_TOKEN, READER_TOKEN])),
    st.just({MAIL_TOKEN: "0_-" * 7 + "a", READER_TOKEN: "--"}),
)


@given(bodies)
def test_a_body_travels_as_whole_short_lines_that_decode_to_what_it_says(body):
    raw = body.encoded()

    assert quopri.decodestring(raw).replace(b"\r\n", b"\n").decode() == str(body)
    assert all(len(line) <= 76 and not line.startswith(b".") for line in raw.split(b"\r\n"))
    assert b"=_" not in raw
    assert body.encoded() == raw


@given(bodies)
def test_a_body_in_json_is_what_it_says(body):
    assert body.json() == json.dumps(str(body))[1:-1].encode() == body.json()


def test_a_body_says_its_tokens_where_they_go():
    body = Body([Piece("/m/"), MAIL_TOKEN, Piece("/u/"), READER_TOKEN], {MAIL_TOKEN: "one", READER_TOKEN: "two"})

    assert str(body) == "/m/one/u/two"


@pytest.mark.parametrize("token", ["", "a b", "<b>", '"', "a\nb", "=3D", ".", "x" * 71, "\u0661", "a\n"])
def test_what_is_no_token_goes_into_no_body(token):
    with pytest.raises(ValueError, match="token"):
        Body([MAIL_TOKEN], {MAIL_TOKEN: token})


@given(texts)
def test_an_encoded_piece_is_whole_short_lines_of_ascii(text):
    lines = encoded(text).split(b"\r\n")

    assert lines.pop() == b""
    assert all(len(line) <= 76 and re.fullmatch(rb"[\t\x20-\x7e]*", line) for line in lines)
    assert not any(line.startswith(b".") or line.endswith((b" ", b"\t")) for line in lines)
    assert not any(b"=_" in line for line in lines)


@pytest.mark.parametrize("end", ["0", ".", "é", " ", "="])
@pytest.mark.parametrize("before", range(60, 80))
def test_a_piece_that_ends_where_a_line_does_is_broken_before(before, end):
    raw = encoded("x" * before + end)

    assert quopri.decodestring(raw).decode() == "x" * before + end
    assert all(len(line) <= 76 and not line.startswith(b".") for line in raw.split(b"\r\n"))


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
