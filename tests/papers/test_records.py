"""A record is what a source may say of a paper, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from papers.records import PaperRecord, bare_id, count, is_arxiv_id, web_url


@pytest.mark.parametrize(
    "arxiv_id",
    ["2401.12345", "0704.0001", "1412.9999", "9912.00001", "cs/0112017", "math.GT/0309136", "astro-ph/0601001"],
)
def test_ids_of_both_styles_are_ids(arxiv_id):
    assert is_arxiv_id(arxiv_id)
    assert PaperRecord(arxiv_id, "A title").arxiv_id == arxiv_id


@pytest.mark.parametrize(
    "text",
    ["", "2401.123", "2413.12345", "2400.12345", "2401.12345v2", "2401.123456", "cs/011", "../etc/passwd", "٢٤٠١.12345",
     "2401.12345\n", "a" * 30 + "/0112017", "Cs/0112017"],
)  # fmt: skip
def test_anything_else_is_no_id(text):
    assert not is_arxiv_id(text)
    with pytest.raises(ValueError, match="no arXiv id"):
        PaperRecord(text, "A title")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2401.12345v2", "2401.12345"),
        ("arXiv:2401.12345v12", "2401.12345"),
        ("oai:arXiv.org:2203.01250v3", "2203.01250"),
        (" quant-ph/0201082v1 ", "quant-ph/0201082"),
        ("2401.12345", "2401.12345"),
    ],
)
def test_prefix_and_version_are_no_part_of_an_id(text, expected):
    assert bare_id(text) == expected


@given(st.text())
def test_a_bare_id_is_an_id_or_an_error(text):
    try:
        found = bare_id(text)
    except ValueError:
        return
    assert is_arxiv_id(found)


def test_a_record_without_a_title_is_refused():
    with pytest.raises(ValueError, match="title"):
        PaperRecord("2401.12345", "")


@pytest.mark.parametrize("url", ["https://github.com/o/r", "http://example.org:8080/a?b=c#d", "https://[::1]/x"])
def test_web_addresses_are_kept_as_they_are(url):
    assert web_url(url) == url


@pytest.mark.parametrize(
    "value",
    [None, 7, [], "", "javascript:alert(1)", "JaVaScRiPt:alert(1)", "data:text/html,x", "//example.org",
     "/avatars/a.svg",
     "https://", "https:///path", "https://bank.example@evil.example/", "https://example.org/\" onclick=\"x",
     "https://example.org/<b>", "https://example.org/a b", "java\nscript:alert(1)", "https://example.org:99999/",
     "https://[::1", "https://example.org/" + "a" * 500, "https://example.org/\u2028", "ftp://example.org/"],
)  # fmt: skip
def test_any_other_address_is_dropped(value):
    assert web_url(value) == ""


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, 0),
        (7, 7),
        (2**31 - 1, 2**31 - 1),
        (2**31, None),
        (-1, None),
        (True, None),
        (1.5, None),
        ("7", None),
        (None, None),
    ],
)
def test_a_count_is_a_whole_number_that_a_column_can_hold(value, expected):
    assert count(value) is expected or count(value) == expected
