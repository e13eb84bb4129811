"""Every mail before the judges that stand between it and a reader: filter, validator, mail programs, eyes."""

import unicodedata

import pytest

from tests.mail_checks import accessibility_faults, browser_page, html_errors, spam_scores, unsupported, width_of
from tests.specimens import html_of

# What some mail program does not support, and why the mail is whole without it.
ALLOWED = {
    "@media": "dark colours, smaller margins and calmer links are extras: the mail fits and can be read without",
    "<body> element": "the program's own page takes its place; the colours stand on the table as well",
    "border-radius": "a button has corners there",
    "display:none": "the preheader has no height there",
    "overflow": "it hides the preheader in the one program that does not know display:none, and that knows it",
    "role attribute": "a screen reader then says that there is a table before it reads what is in it",
    "word-break": "only a word longer than the line, such as an address, reaches beyond it",
}


@pytest.mark.mail
def test_no_mail_looks_like_spam(mails, tmp_path):
    scores = spam_scores(mails, tmp_path)

    assert {name: found for name, found in scores.items() if found[0] > 1.0} == {}


@pytest.mark.mail
def test_the_html_of_every_mail_is_valid(mails, tmp_path):
    assert html_errors({name: html_of(raw) for name, raw in mails.items()}, tmp_path) == []


@pytest.mark.mail
def test_every_mail_program_can_show_every_mail(mails):
    found = unsupported([html_of(raw) for raw in mails.values()])

    assert sorted({(what, client) for what, client in found if what not in ALLOWED}) == []
    assert ALLOWED.keys() - {what for what, _ in found} == set()


@pytest.mark.browser
def test_every_mail_can_be_read_by_everybody_in_light_and_dark(mails):
    with browser_page() as page:
        faults = {name: accessibility_faults(page, html_of(raw)) for name, raw in mails.items()}

    assert {name: found for name, found in faults.items() if found} == {}


@pytest.mark.browser
def test_no_mail_is_wider_than_a_small_phone(mails):
    with browser_page() as page:
        widths = {name: width_of(page, html_of(raw), 320) for name, raw in mails.items()}

    assert {name: width for name, width in widths.items() if width > 320} == {}


@pytest.mark.browser
def test_what_is_written_from_right_to_left_reads_so_and_moves_nothing_else(mails):
    with browser_page(viewport={"width": 375, "height": 800}) as page:
        page.set_content(html_of(mails["digest-hostile"]))
        cards = page.evaluate(CARDS)

    assert {card["way"] for card in cards if starts_rtl(card["title"])} == {"rtl"}
    assert {card["way"] for card in cards if not starts_rtl(card["title"])} == {"ltr"}
    assert sum(starts_rtl(card["title"]) for card in cards) == 2
    assert {(card["left"], card["width"]) for card in cards} == {(20, 335)}
    assert {card["links"] for card in cards} == {"ltr 20"}


CARDS = """[...document.querySelectorAll(".card")].map(card => ({
    title: card.querySelector("h3").textContent,
    way: getComputedStyle(card.querySelector("h3")).direction,
    left: card.getBoundingClientRect().left,
    width: Math.max(...[card, ...card.children].map(part => part.scrollWidth)),
    links: getComputedStyle(card.querySelector(".links")).direction
        + " " + card.querySelector(".links a").getBoundingClientRect().left,
}))"""


def starts_rtl(text: str) -> bool:
    """Say whether the first letter belongs to a script that is written from right to left."""
    strong = (unicodedata.bidirectional(char) for char in text)
    return next((kind for kind in strong if kind in {"L", "R", "AL"}), "L") != "L"
