"""Every mail before the judges that stand between it and a reader: filter, validator, mail programs, eyes."""

from pathlib import Path
from typing import Any

import pytest

from tests.mail_checks import accessibility_faults, browser_page, html_errors, spam_scores, unsupported, width_of
from tests.specimens import every_mail, html_of

pytestmark = pytest.mark.django_db(transaction=True)

# What some mail program does not support, and why the mail is whole without it.
ALLOWED = {
    "@media": "dark colours and a phone's smaller margins are extras: the light mail fits and can be read",
    "<body> element": "the program's own page takes its place; the colours stand on the table as well",
    "border-radius": "a button has corners there",
    "display:none": "the preheader has no height there",
    "overflow": "it hides the preheader in the one program that does not know display:none, and that knows it",
    "role attribute": "a screen reader then says that there is a table before it reads what is in it",
    "word-break": "only a word longer than the line, such as an address, reaches beyond it",
}


@pytest.fixture
def mails(settings: Any, tmp_path: Path) -> dict[str, bytes]:
    """One of every mail, as a production instance writes it."""
    settings.PUBLIC_URL = "https://papers.example.org"
    settings.DEFAULT_FROM_EMAIL = "Paperboy <digest@papers.example.org>"
    settings.SERVICE_FROM_EMAIL = "Paperboy <hello@papers.example.org>"
    settings.HUGGINGFACE_URL = "http://127.0.0.1:9"
    settings.EMAIL_BACKEND = "newsletter.providers.OutboxBackend"
    settings.EMAIL_FILE_PATH = tmp_path / "outbox"
    return every_mail()


@pytest.mark.mail
def test_no_mail_looks_like_spam(mails, tmp_path):
    scores = spam_scores(mails, tmp_path)

    assert {name: found for name, found in scores.items() if found[0] > 1.0} == {}


@pytest.mark.mail
def test_the_html_of_every_mail_is_valid(mails, tmp_path):
    assert html_errors({name: html_of(raw) for name, raw in mails.items()}, tmp_path) == []


@pytest.mark.mail
def test_every_mail_program_can_show_every_mail(mails):
    found = set().union(*(unsupported(html_of(raw)) for raw in mails.values()))

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
