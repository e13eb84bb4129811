"""What every mail says: the same in its text as in its HTML, with links that lead somewhere."""

import re

import pytest

from subscribers.emails import COLUMNS
from tests.message_checks import check_message
from tests.sameness import Page, difference
from tests.specimens import PUBLIC_URL, every_mail, html_of, part_of

pytestmark = pytest.mark.django_db


def test_the_text_of_every_mail_says_what_its_html_says(mails):
    found = {name: difference(html_of(raw), part_of(raw, "plain")) for name, raw in mails.items()}

    assert {name: fault for name, fault in found.items() if fault} == {}


def test_what_one_half_of_a_mail_alone_says_is_found(mails):
    html, text = html_of(mails["digest-second-chance"]), part_of(mails["digest-second-chance"], "plain")
    things = [said.words for said in Page(html).said if said.words in text]
    assert len(things) > 50

    assert [thing for thing in things if not difference(html, text.replace(thing, "", 1))] == []
    assert "alone says" in difference(html, text + "one more thing")
    assert difference(html, text.replace("https://arxiv.org/abs/", "https://arxiv.org/pdf/", 1))


def test_every_line_of_every_text_has_78_columns_and_every_link_a_line(mails):
    lines = [line for raw in mails.values() for line in part_of(raw, "plain").splitlines()]

    assert [line for line in lines if len(line) > COLUMNS and " " in line.strip()] == []
    assert [line for line in lines if PUBLIC_URL in line and not re.fullmatch(r"\S+", line)] == []


def test_every_mail_is_what_mailbox_providers_require(mails):
    # Only a digest leads anywhere else: to its papers.
    away: dict[str, list[str] | None] = {
        name: None if html_of(raw).count('class="card"') else [] for name, raw in mails.items()
    }
    found = {name: check_message(raw, PUBLIC_URL, paper_links=away[name]) for name, raw in mails.items()}

    assert {name: faults for name, faults in found.items() if faults} == {}


def test_every_link_of_ours_in_every_mail_leads_somewhere(outbox, client):
    links = {
        (name, link)
        for name, raw in every_mail().items()
        for link in re.findall(rf"{re.escape(PUBLIC_URL)}[^\s<>\"]*", f"{html_of(raw)} {part_of(raw, 'plain')}")
    }
    answers = {(name, link): client.get(link.removeprefix(PUBLIC_URL) or "/").status_code for name, link in links}

    assert len(answers) > 200
    assert {where: status for where, status in answers.items() if status != 200} == {}


# Each specimen holds what it is there for.
SAID = {
    "digest": ["Welcome! This is your first digest.", 'You follow "diffusion models"'],
    "digest-starred": ['You follow "speech"'],
    "digest-no-match": ["None of the new papers matches your interests."],
    "digest-second-chance": ["It takes off: from 6 to 94 upvotes in 4 days", "upvotes, 12 more in a day", "\nCode:\n"],
    "digest-second-chance-de": ["Es hebt ab:", "Abmelden:\n"],
    "digest-first-de": ["Willkommen"],
    "digest-weekly": [" new papers since "],
    "digest-hostile": [
        "{{ settings.SECRET_KEY }}",
        "<script>alert(1)</script>",
        "and 497 more",
        "\u0631\u0648\u0628\u0648\u062a",
    ],
    "source-late": ["could not be read"],
}


@pytest.mark.parametrize("name", SAID)
def test_each_specimen_holds_what_it_is_there_for(mails, name):
    text = part_of(mails[name], "plain")

    assert [words for words in SAID[name] if words not in text] == []


def test_as_many_hostile_papers_as_fit_into_a_digest_stand_there_as_text(mails):
    html = html_of(mails["digest-hostile"])

    assert Page(html).papers == 25
    assert re.findall(r"<(?:script|img|think)|javascript:", html) == []
    assert re.findall("[\u202a-\u202e\u2066-\u2069\u200e\u200f\x00-\x08]", html) == []
