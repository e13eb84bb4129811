"""The links by which a reader steers later digests from a mail: they ask on GET, act on POST, and can be undone."""

import datetime as dt

import pytest
from django.utils import timezone

from newsletter.models import Delivery
from subscribers.interests import follow
from subscribers.models import Follow, Vote
from tests.factories import make_digest, make_edition, make_paper, make_subscriber

pytestmark = pytest.mark.django_db


@pytest.fixture
def delivery():
    """A digest of two papers; the first is there for two interests."""
    papers = (make_paper(arxiv_id="2607.00001", title="Robots that plan"), make_paper(title="A survey of planning"))
    reader = make_subscriber(interests=("robots", "planning"))
    delivery = make_digest(make_edition(papers=papers), reader, state="accepted", accepted_at=timezone.now())
    for pick, wordings in zip(delivery.picks.details, (("robots", "planning"), ("planning",)), strict=True):
        pick["why"] = [{"interest": word, "field": "title", "text": "…", "marks": []} for word in wordings]
    delivery.picks.save()
    return delivery


def opinions() -> list[tuple[str, bool, str]]:
    rows = Vote.objects.select_related("paper", "interest")
    return [(row.paper.arxiv_id, row.is_up, row.interest.canonical if row.interest else "") for row in rows]


def follows() -> dict[str, str]:
    return {
        row.wording: "muted" if row.is_muted else "starred" if row.is_starred else "followed"
        for row in Follow.objects.all()
    }


@pytest.mark.parametrize("address", ["more/2607.00001", "less/2607.00001", "mute/1", "mute?word=survey", "mute"])
def test_looking_at_a_link_changes_nothing_and_asks(client, delivery, address):
    response = client.get(f"/m/{delivery.token}/{address}")

    assert response.status_code == 200
    assert "<button" in response.text
    assert response["X-Robots-Tag"] == "noindex"
    assert not response.cookies
    assert opinions() == []
    assert follows() == {"robots": "followed", "planning": "followed"}


def test_more_like_this_is_one_click_and_can_be_taken_back(client, delivery):
    address = f"/m/{delivery.token}/more/2607.00001"

    page = client.post(address, {"do": "vote"})

    assert opinions() == [("2607.00001", True, "")]
    assert "Take it back" in page.text

    client.post(address, {"do": "undo"})

    assert opinions() == []


def test_less_like_this_asks_about_which_interest(client, delivery):
    address = f"/m/{delivery.token}/less/2607.00001"
    asked = client.get(address).text
    assert 'value="robots"' in asked
    assert 'value="planning"' in asked

    client.post(address, {"do": "vote", "about": "planning"})

    assert opinions() == [("2607.00001", False, "planning")]


def test_a_second_click_is_the_same_opinion(client, delivery):
    for _ in range(2):
        client.post(f"/m/{delivery.token}/less/2607.00001", {"do": "vote"})

    assert opinions() == [("2607.00001", False, "")]


def test_an_interest_that_the_paper_is_not_there_for_is_not_blamed(client, delivery):
    client.post(f"/m/{delivery.token}/less/2607.00001", {"do": "vote", "about": "somebody's secret"})

    assert opinions() == [("2607.00001", False, "")]


@pytest.mark.parametrize("address", ["more/2607.99999", "mute/0", "mute/3"])
def test_what_the_digest_does_not_hold_cannot_be_steered(client, delivery, address):
    assert client.post(f"/m/{delivery.token}/{address}", {"do": "vote"}).status_code == 404


def test_muting_an_interest_shows_its_effect_and_hides_it(client, delivery):
    asked = client.get(f"/m/{delivery.token}/mute/1")
    assert "would have hidden 1 of the last 2" in asked.text
    assert "Robots that plan" in asked.text

    client.post(f"/m/{delivery.token}/mute/1", {"do": "mute"})

    assert follows() == {"robots": "muted", "planning": "followed"}


def test_an_interest_can_be_left_instead_and_taken_back_with_its_star(client, delivery):
    Follow.objects.filter(wording="robots").update(is_starred=True)
    address = f"/m/{delivery.token}/mute/1"

    page = client.post(address, {"do": "stop"})

    assert follows() == {"planning": "followed"}
    assert 'name="was" value="starred"' in page.text

    client.post(address, {"do": "undo", "was": "starred"})

    assert follows() == {"robots": "starred", "planning": "followed"}


def test_a_word_is_shown_with_its_effect_muted_and_given_back(client, delivery):
    address = f"/m/{delivery.token}/mute"
    assert "would have hidden 1 of the last 2" in client.get(address, {"word": "surveys"}).text

    page = client.post(address, {"word": "surveys", "do": "mute"})
    assert follows()["surveys"] == "muted"
    assert 'name="was" value="nothing"' in page.text

    client.post(address, {"word": "surveys", "do": "undo", "was": "nothing"})

    assert "surveys" not in follows()


def test_a_word_that_cannot_be_read_is_refused_with_the_place(client, delivery):
    response = client.post(f"/m/{delivery.token}/mute", {"word": 'an "open quote', "do": "mute"})

    assert response.status_code == 422
    assert "never closed" in response.text
    assert "an &quot;open quote" in response.text
    assert "open" not in "".join(follows())


def test_a_hostile_word_is_shown_as_text(client, delivery):
    page = client.get(f"/m/{delivery.token}/mute", {"word": "<script>alert(1)</script>"})

    assert "<script>alert" not in page.text


def test_a_reader_with_fifty_lines_is_told_that_there_is_no_room(client, delivery):
    for number in range(48):
        follow(delivery.subscriber, f"topic{number}")

    page = client.post(f"/m/{delivery.token}/mute", {"word": "surveys", "do": "mute"})

    assert "no room" in page.text
    assert len(follows()) == 50


def test_the_links_work_for_thirty_days(client, delivery):
    Delivery.objects.update(created_at=timezone.now() - dt.timedelta(days=30, minutes=1))

    response = client.post(f"/m/{delivery.token}/more/2607.00001", {"do": "vote"})

    assert response.status_code == 410
    assert f'action="/m/{delivery.token}/link"' in response.text
    assert opinions() == []


def test_nobody_steers_for_a_reader_who_left(client, delivery):
    delivery.subscriber.state = "unsubscribed"
    delivery.subscriber.unsubscribed_at = timezone.now()
    delivery.subscriber.save()

    assert client.post(f"/m/{delivery.token}/mute/1", {"do": "mute"}).status_code == 410
    assert follows()["robots"] == "followed"


def test_an_unknown_token_steers_nothing(client, delivery):
    assert client.post("/m/unheard-of/more/2607.00001", {"do": "vote"}).status_code == 404


def test_an_interest_in_what_is_like_a_paper_can_be_left_but_hides_nothing(client, delivery):
    follow(delivery.subscriber, "like:2607.00001")
    delivery.picks.details[0]["why"][0]["interest"] = "like:2607.00001"
    delivery.picks.save()
    address = f"/m/{delivery.token}/mute/1"
    assert delivery.picks.interests[0] == "like:2607.00001"

    asked = client.get(address).text
    muted = client.post(address, {"do": "mute"})

    assert "Stop following" in asked
    assert 'value="mute"' not in asked
    assert muted.status_code == 200
    assert follows()["like:2607.00001"] == "followed"

    client.post(address, {"do": "stop"})

    assert "like:2607.00001" not in follows()
