"""The checks of mail quality can fail: each finds the fault that it is there for."""

import pytest

from tests.mail_checks import accessibility_faults, browser_page, html_errors, spam_scores, unsupported, width_of

BAD_MAIL = b"""From: "WINNER!!!" <x@1.example>
To: a@example.org
Subject: FREE MONEY $$$ ACT NOW!!!
MIME-Version: 1.0
Content-Type: text/html; charset=utf-8

<html><body><font size=7 color=red>CLICK HERE to claim your $1,000,000 prize, no risk, 100% free</font></body></html>
"""
GOOD_MAIL = b"""From: Paperboy <digest@papers.example.org>
To: Ada <a@example.org>
Subject: Three papers for you
Date: Mon, 01 Jan 2024 07:00:00 +0000
Message-ID: <three-papers-for-you@papers.example.org>
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8

Here are three papers that match your interests.

From now on they come every morning.
"""


def page_with(body: str, style: str = "") -> str:
    head = f"<title>A page</title><style>{style}</style>"
    return f'<!doctype html><html lang="en"><head>{head}</head><body><h1>A heading</h1>{body}</body></html>'


@pytest.mark.mail
def test_a_mail_that_looks_like_spam_scores_above_the_limit(tmp_path):
    scores = spam_scores({"bad": BAD_MAIL, "good": GOOD_MAIL, "bad again": BAD_MAIL}, tmp_path)

    assert scores["bad"] == scores["bad again"]
    assert scores["bad"][0] > 1.0
    assert scores["bad"][1]
    assert scores["good"] == (0.0, [])


@pytest.mark.mail
def test_an_unclosed_element_is_an_error(tmp_path):
    errors = html_errors({"good": page_with("<p>x</p>"), "bad": page_with("<b>x")}, tmp_path)

    assert errors
    assert {error.partition(":")[0] for error in errors} == {"bad"}


@pytest.mark.mail
def test_what_a_mail_program_cannot_show_is_named_with_the_program():
    assert ("display:flex", "outlook.windows") in unsupported([page_with('<div style="display: flex">x</div>')])


@pytest.mark.browser
def test_faint_text_is_found_in_the_scheme_in_which_it_is_faint():
    style = "body { background: #fff; color: #111 } @media (prefers-color-scheme: dark) { p { color: #eee } }"

    with browser_page() as page:
        faults = accessibility_faults(page, page_with("<p>Hard to read</p>", style))

    assert [fault.split()[:2] for fault in faults] == [["dark", "color-contrast"]]


@pytest.mark.browser
def test_contrast_that_cannot_be_told_is_a_fault():
    style = "p { background: linear-gradient(#fff, #000); color: #777 }"

    with browser_page() as page:
        faults = accessibility_faults(page, page_with("<p>On a gradient</p>", style))

    assert [fault.split()[:2] for fault in faults] == [["light", "color-contrast"], ["dark", "color-contrast"]]


@pytest.mark.browser
def test_what_is_wider_than_a_phone_is_measured():
    with browser_page() as page:
        assert width_of(page, page_with('<p style="width: 500px">x</p>'), 320) > 320
        assert width_of(page, page_with("<p>x</p>"), 320) == 320
