"""What a digest says: the same however often it is made, and whatever a source wrote."""

import datetime as dt
import re
from typing import Any

import pytest
from django.utils import timezone

from newsletter import cards, messages, rendering
from newsletter.models import Delivery, DeliveryPicks, Edition, EditionPaper
from papers.models import Listing, Paper
from tests.factories import make_delivery, make_edition, make_paper, make_subscriber
from tests.message_checks import check_message

pytestmark = pytest.mark.django_db

D = dt.date(2026, 7, 8)  # a Wednesday
DAY = dt.timedelta(days=1)
URL = "https://papers.example.org"


@pytest.fixture(autouse=True)
def _public(settings):
    settings.PUBLIC_URL = URL
    settings.DEFAULT_FROM_EMAIL = "Paperboy <digest@papers.example.org>"


def note(status: str = "ok", new: int = 0, **fields: object) -> dict[str, object]:
    values = {"list_dates": ["2026-07-07"], "fetched_at": "2026-07-08T03:10:00+00:00" if status == "ok" else ""}
    return {"source": "huggingface", "status": status, "new": new, **values, **fields}


def make(*papers: Paper, matched: int = 0, form: str = "digest", edition: Edition | None = None, **fields) -> Delivery:
    """A delivery whose first ``matched`` papers are for the reader, the others trending."""
    edition = edition or make_edition(D, papers=papers, coverage=[note(new=len(papers))])
    delivery = make_delivery(edition, **fields)
    why = [{"interest": "robots", "field": "abstract", "text": "On robots that fold", "marks": [[3, 9]]}]
    DeliveryPicks.objects.create(
        delivery=delivery,
        form=form,
        paper_ids=[paper.pk for paper in papers],
        details=[
            {"paper": paper.pk, "section": "for_you", "score": 1, "why": why}
            if number < matched
            else {"paper": paper.pk, "section": "trending", "score": 1, "why": []}
            for number, paper in enumerate(papers)
        ],
        counts={"considered": 23, "matched": matched, "muted": 0, "sent_before": 0},
    )
    return delivery


def received(delivery: Delivery) -> bytes:
    return bytes(messages.message(delivery).message().as_bytes())


def test_a_digest_names_its_first_paper_and_counts_the_others():
    delivery = make(*(make_paper(title=f"Robots, part {n}") for n in range(4)), matched=3)

    digest = rendering.digest(delivery)

    assert digest.subject == "Robots, part 0, and 3 more"
    assert digest.headline == "3 papers for you"
    assert digest.coverage == "23 new papers, 3 match your interests."
    assert [(section.key, len(section.entries)) for section in digest.sections] == [("for_you", 3), ("trending", 1)]
    assert digest.date == D


def test_the_evidence_is_marked_where_it_stands():
    digest = rendering.digest(make(make_paper(), matched=1))

    [why] = digest.sections[0].entries[0].why
    assert (why.interest, why.place, why.number) == ("robots", "in the abstract:", 1)
    assert [(s.text, s.is_marked) for s in why.segments] == [("On ", False), ("robots", True), (" that fold", False)]


def test_of_the_title_which_stands_above_only_the_marked_words_are_repeated():
    evidence: cards.Evidence = {
        "interest": "robots",
        "field": "title",
        "text": "Robots that teach robots",
        "marks": [(0, 6), (18, 24)],
    }
    line = cards.why_line(evidence, 1)

    assert line.place == "in the title:"
    assert "".join(segment.text for segment in line.segments) == "Robots … robots"


def test_every_card_says_how_many_upvotes_it_gained():
    paper = make_paper(upvotes=94)
    edition = make_edition(D, papers=(paper,))
    EditionPaper.objects.update(gained=38)

    message = messages.message(make(paper, edition=edition))

    assert "94 upvotes, 38 more in a day" in str(message.body)
    assert "94 upvotes, 38 more in a day" in str(message.alternatives[0][0])


def test_each_paper_can_be_steered_and_each_interest_hidden(client):
    papers = [make_paper(arxiv_id="2607.00001"), make_paper(arxiv_id="math.GT/0309136")]
    delivery = make(*papers, matched=1, subscriber=make_subscriber(interests=("robots",)))
    message = messages.message(delivery)
    html, base = str(message.alternatives[0][0]), f"{URL}/m/{delivery.token}/"

    wanted = {
        *(f"{base}{way}/{paper.arxiv_id}" for way in ("more", "less") for paper in papers),
        *(f"{base}{way}" for way in ("", "mute", "mute/1", "preferences", "preferences#pause")),
    }

    assert set(re.findall(rf'href="({re.escape(base)}[^"]*)"', html)) == wanted
    assert {client.get(link.removeprefix(URL)).status_code for link in wanted} == {200}
    assert all(f"\n{link}\n" in str(message.body) for link in wanted)


def test_a_readers_first_digest_welcomes_them():
    first, second = make(make_paper()), make(make_paper(), edition=make_edition(D + DAY))
    first.picks.counts["is_first"] = True

    assert "Welcome! This is your first digest." in str(messages.message(first).body)
    assert "Welcome" not in str(messages.message(second).body)


@pytest.mark.parametrize(
    ("marks", "marked"),
    [([(0, 2), (3, 9)], ["On", "robots"]), ([(3, 9), (5, 14)], ["robots", " that"]), ([(3, 3)], []), ([], [])],
)
def test_marks_may_touch_and_overlap(marks, marked):
    segments = cards._segments("On robots that fold", marks)

    assert "".join(segment.text for segment in segments) == "On robots that fold"
    assert [segment.text for segment in segments if segment.is_marked] == marked


def test_a_digest_of_several_days_says_since_when():
    make_edition(D - 2 * DAY, coverage=[note()])
    make_edition(D - DAY, coverage=[note()])
    delivery = make(make_paper(), matched=1, covers_from=D - 2 * DAY)

    assert rendering.digest(delivery).coverage == "23 new papers since Monday, 1 matches your interests."


def test_trending_papers_in_place_of_matches_are_said_to_be_that():
    digest = rendering.digest(make(make_paper()))

    assert digest.headline == "1 trending paper"
    assert digest.coverage == "23 new papers, none matches your interests."
    assert "None of the new papers matches" in digest.sections[0].intro


@pytest.mark.parametrize("titles", [["A"], ["A", "B"], ["Long words in a title " * 20, "More of them " * 20]])
def test_the_preheader_fits_an_inbox(titles):
    digest = rendering.digest(make(*(make_paper(title=title) for title in titles), matched=1))

    assert 40 <= len(digest.preheader) <= 130


def test_the_footer_says_what_was_checked_and_how_fresh_it_is():
    digest = rendering.digest(make(make_paper(), matched=1))

    assert digest.checked == ("23 new papers, 1 matched.", "Hugging Face: 1 new paper, read on 8 July, 03:10 UTC.")


def test_the_footer_names_a_source_that_failed():
    edition = make_edition(D, coverage=[note(new=2), note("failed", source="arxiv", list_dates=["2026-07-08"])])

    checked = rendering.digest(make(make_paper(), edition=edition)).checked

    assert checked[-1] == "arXiv could not be read: the list of 8 July will come with a later digest."


def test_the_footer_says_why_a_source_had_nothing():
    edition = make_edition(D, coverage=[note(new=2), note("empty", source="arxiv", reason="Thanksgiving")])

    checked = rendering.digest(make(make_paper(), edition=edition)).checked

    assert checked[-1] == "arXiv had nothing new: Thanksgiving."


def test_a_failed_source_has_a_short_mail_of_its_own():
    edition = make_edition(D, coverage=[note("failed")])
    delivery = make(form="source_late", edition=edition)

    digest = rendering.digest(delivery)

    assert digest.subject == "No new papers yet: Hugging Face could not be read"
    assert digest.sections == ()
    assert check_message(received(delivery), URL) == []


# Cards ------------------------------------------------------------------------------------------


def card_of(**fields) -> cards.Card:
    return cards.card(make_paper(**fields), D, 10)


def test_the_first_three_authors_are_named():
    assert card_of(authors=["Ann", "Ben"]).authors == "Ann, Ben"
    assert card_of(authors=list("ABCDEFGH")).authors == "A, B, C and 5 more"
    assert card_of(authors=[]).authors == ""


def test_a_card_prefers_the_tldr():
    assert card_of(tldr="In short.", abstract="At length.").summary == "In short."


def test_a_long_abstract_is_cut_after_a_sentence_or_between_words():
    sentences = "This sentence has a number of words in it. " * 20
    assert card_of(abstract=sentences).summary.endswith("words in it.")
    words = card_of(abstract="word " * 200).summary
    assert words.endswith("word…")
    assert len(card_of(abstract="x" * 5000).summary) <= 320


def test_what_looks_like_markup_is_text():
    card = card_of(title="Think <think> twice", abstract="It costs $5 & <b>more</b>.")

    assert (card.title, card.summary) == ("Think <think> twice", "It costs $5 & <b>more</b>.")


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "data:text/html,x", "//evil.example", "http://", "https://a b", "https://[", ""]
)
def test_a_link_that_is_no_web_address_is_dropped(url):
    assert [link.label for link in card_of(code_url=url, project_url=url).links] == ["Abstract", "PDF"]


def test_a_made_up_paper_links_to_our_own_page():
    card = card_of(is_sample=True, arxiv_id="9912.00001")

    assert card.url == f"{URL}/paper/9912.00001"
    assert [link.url for link in card.links] == [card.url]


# The message ------------------------------------------------------------------------------------

HOSTILE: dict[str, Any] = {
    "title": "A\r\nBcc: other@example.org <script>alert(1)</script> \u202etxt " + "x" * 3000,
    "abstract": "<img src=x onerror=alert(1)> {{ settings.SECRET_KEY }} " + "永" * 3000,
    "authors": ["<b>Eve</b>", "y" * 2000, "\x00\x1b[31mred", "Zoë"],
    "organisation": "</td></table>" * 15,
    "code_url": "javascript:alert(1)",
}


@pytest.mark.parametrize("fields", [{}, HOSTILE], ids=["plain", "hostile"])
def test_the_message_is_what_mailbox_providers_require(fields):
    delivery = make(make_paper(**fields), make_paper(), matched=1)

    assert check_message(received(delivery), URL) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SITE_NAME", "The Other Name"),
        ("POSTAL_ADDRESS", "1 Other Street"),
        ("PUBLIC_URL", "https://other.example"),
        ("TRACK_OPENS", "open.gif"),
        ("TRACK_CLICKS", "/to/2"),
    ],
)
def test_a_setting_that_changes_shows_in_the_next_mail(settings, name, value):
    delivery = make(make_paper(arxiv_id="2607.00001"), matched=1)
    before = str(messages.message(delivery).alternatives[0][0])
    setattr(settings, name, True if name.startswith("TRACK") else value)

    assert value not in before
    assert value in str(messages.message(delivery).alternatives[0][0])


def test_two_readers_share_a_line_of_evidence_but_not_its_link():
    delivery = make(make_paper(), make_paper(), matched=2)
    first, second = delivery.picks.details[0]["why"][0], {**delivery.picks.details[0]["why"][0], "interest": "laundry"}
    links = []
    for order in ([first], [second, first]):
        delivery.picks.details[0]["why"], delivery.picks.details[1]["why"] = order, []
        page = str(messages.message(delivery).alternatives[0][0])
        links.append(re.findall(r'>(robots|laundry)</span>.*?/mute/(\d+)"', page))

    assert links == [[("robots", "1")], [("laundry", "1"), ("robots", "2")]]


def test_hostile_text_stays_text():
    message = messages.message(make(make_paper(**HOSTILE), matched=1))
    html = str(message.alternatives[0][0])

    assert "\n" not in message.subject
    assert message.to == [Delivery.objects.get().subscriber.email]
    assert "<script>" not in html
    assert "<img" not in html
    assert "javascript:" not in html
    assert "{{ settings.SECRET_KEY }}" in html
    assert "\u202e" not in html
    assert "<img src=x onerror=alert(1)>" in str(message.body)


def test_the_message_is_the_same_however_often_it_is_made():
    delivery = make(make_paper(), make_paper(), matched=1)
    first, second = (messages.message(Delivery.objects.get(pk=delivery.pk)) for _ in range(2))

    assert (first.subject, first.body, first.alternatives) == (second.subject, second.body, second.alternatives)
    assert first.extra_headers == second.extra_headers


def test_the_message_id_does_not_give_the_token_away():
    delivery = make(make_paper())

    assert delivery.token not in messages.message_id(delivery)
    assert messages.message_id(delivery) == messages.message_id(Delivery.objects.get())
    assert messages.message_id(delivery).endswith("@papers.example.org>")


def test_the_largest_digest_stays_below_what_mail_programs_cut_off():
    papers = [
        make_paper(
            title="A title of the usual length, which says what the paper is about and more " + str(n),
            abstract="word " * 400,
            authors=["Somebody With A Long Name"] * 30,
            organisation="An Institute of Technology Somewhere",
            code_url="https://github.com/somebody/something-with-a-name",
            project_url="https://somebody.github.io/something-with-a-name",
        )
        for n in range(25)
    ]
    delivery = make(*papers, matched=22)

    assert check_message(received(delivery), URL) == []


def test_a_sample_is_said_to_be_one():
    message = messages.message(make(make_paper(is_sample=True)))

    assert "made up" in str(message.body)
    assert "made up" in str(message.alternatives[0][0])


def test_the_material_of_a_chunk_is_read_in_four_queries(django_assert_num_queries):
    edition = make_edition(D, papers=tuple(make_paper(list_date=D - DAY) for _ in range(3)), coverage=[note(new=3)])
    papers = [row.paper for row in EditionPaper.objects.select_related("paper")]
    for _ in range(5):
        make(*papers, edition=edition, subscriber=make_subscriber())
    deliveries = list(Delivery.objects.select_related("subscriber", "edition", "picks"))

    with django_assert_num_queries(4):
        of = rendering.material(deliveries)
        for delivery in deliveries:
            messages.message(delivery, of)


def test_a_card_says_when_the_paper_was_last_listed():
    paper = make_paper(list_date=D - 3 * DAY)
    Listing.objects.create(paper=paper, source="huggingface", list_date=D - DAY, stored_at=timezone.now())

    [section] = rendering.digest(make(paper)).sections

    assert section.entries[0].card.list_date == D - DAY
