"""Nothing is learnt of readers unless the operator asks for it; then every mail says so."""

import pytest

from newsletter import messages
from newsletter.models import Delivery, DeliveryEvent
from tests.factories import make_digest, make_edition, make_paper
from tests.message_checks import check_message

pytestmark = pytest.mark.django_db

URL = "https://papers.example.org"
ARXIV = "https://arxiv.org/abs/2607.00001"


@pytest.fixture(autouse=True)
def _public(settings):
    settings.PUBLIC_URL = URL
    settings.DEFAULT_FROM_EMAIL = "Paperboy <digest@papers.example.org>"


@pytest.fixture
def delivery():
    return make_digest(make_edition(papers=(make_paper(arxiv_id="2607.00001"),)), count=1)


def html(delivery: Delivery) -> str:
    return str(messages.message(delivery).alternatives[0][0])


def events() -> list[tuple[str, str]]:
    return list(DeliveryEvent.objects.order_by("pk").values_list("kind", "detail"))


def test_by_default_a_mail_holds_no_picture_and_leads_to_the_papers_themselves(delivery):
    page = html(delivery)

    assert "<img" not in page
    assert f'href="{ARXIV}"' in page
    assert "/to/" not in page
    assert "learns" not in page


def test_by_default_nothing_is_noted(client, delivery):
    client.get(f"/m/{delivery.token}/open.gif")
    client.get(f"/m/{delivery.token}/to/2607.00001/abstract")

    assert events() == []


def test_where_clicks_are_counted_the_mail_says_so_and_a_click_leads_to_the_stored_address(client, delivery, settings):
    settings.TRACK_CLICKS = True
    page = html(delivery)
    link = f"{URL}/m/{delivery.token}/to/2607.00001/abstract"
    assert f'href="{link}"' in page
    assert "learns which papers" in page
    assert check_message(messages.message(delivery).as_bytes(), URL) == []

    response = client.get(link.removeprefix(URL))

    assert (response.status_code, response["Location"]) == (302, ARXIV)
    assert events() == [("clicked", "2607.00001 abstract")]


@pytest.mark.parametrize(
    "address", ["to/2607.00001/secret", "to/2607.99999/abstract", "to/https://evil.example/abstract"]
)
def test_a_link_leads_nowhere_but_to_a_paper_of_the_mail(client, delivery, settings, address):
    settings.TRACK_CLICKS = True

    assert client.get(f"/m/{delivery.token}/{address}").status_code == 404
    assert events() == []


def test_a_link_that_was_mailed_while_it_was_on_still_leads_there(client, delivery):
    assert client.get(f"/m/{delivery.token}/to/2607.00001/pdf")["Location"] == "https://arxiv.org/pdf/2607.00001"


def test_where_openings_are_counted_the_mail_says_so_and_one_is_noted_once(client, delivery, settings):
    settings.TRACK_OPENS = True
    assert f'<img src="{URL}/m/{delivery.token}/open.gif"' in html(delivery)
    assert "learns when this mail is opened" in html(delivery)

    answers = [client.get(f"/m/{delivery.token}/open.gif") for _ in range(2)]

    assert {answer["Content-Type"] for answer in answers} == {"image/gif"}
    assert events() == [("opened", "")]


def test_an_opening_proves_that_a_mail_in_doubt_went(client, delivery, settings):
    settings.TRACK_OPENS = True
    Delivery.objects.update(state="unknown", message_id=messages.message_id(delivery))

    client.get(f"/m/{delivery.token}/open.gif")

    assert Delivery.objects.get().state == "accepted"


def test_an_unknown_mail_is_not_there(client):
    assert client.get("/m/unheard-of/open.gif").status_code == 404
    assert client.get("/m/unheard-of/to/2607.00001/abstract").status_code == 404
