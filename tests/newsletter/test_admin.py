"""The operator's desk for editions: who got it, who did not and why, and what may be done by whom."""

import re

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from newsletter.models import Chunk, Delivery, DeliveryEvent, Edition
from tests.factories import make_delivery, make_digest, make_edition, make_paper, make_subscriber

pytestmark = pytest.mark.django_db

LISTS = ["edition", "editionpaper", "delivery", "chunk", "deliveryevent"]


@pytest.fixture
def edition():
    return make_edition(papers=tuple(make_paper(title=f"Robots, part {n}") for n in range(3)))


@pytest.fixture
def clerk(client):
    """May look at editions and deliveries, and neither send nor see addresses."""
    user = User.objects.create_user("clerk", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=["view_edition", "view_delivery"]))
    client.force_login(user)
    return client


def act(client, action: str, edition: Edition):
    data = {"action": action, "_selected_action": [edition.pk]}
    return client.post("/admin/newsletter/edition/", data, follow=True)


def state_of(edition: Edition) -> str:
    edition.refresh_from_db()
    return edition.state


def event(delivery: Delivery) -> None:
    key = f"{DeliveryEvent.objects.count()}"
    DeliveryEvent.objects.create(
        key=key, delivery=delivery, provider="Postmark", kind="delivered", occurred_at=timezone.now()
    )


@pytest.mark.parametrize("name", LISTS)
def test_the_queries_of_a_list_do_not_grow_with_its_rows(admin_client, edition, name):
    def queries(rows: int) -> int:
        for _ in range(rows):
            event(make_digest(edition))
            make_digest(make_edition(edition.date.replace(year=2000 + Edition.objects.count()), papers=(make_paper(),)))
            Chunk.objects.create(edition=edition, number=10 + Chunk.objects.count())
        with CaptureQueriesContext(connection) as captured:
            assert admin_client.get(f"/admin/newsletter/{name}/").status_code == 200
        return len(captured)

    queries(1)
    assert queries(1) == queries(5)


def test_the_list_of_editions_counts_their_readers(admin_client, edition):
    make_delivery(edition)
    for _ in range(2):
        make_delivery(edition, state="accepted", accepted_at=timezone.now())
    make_delivery(edition, state="skipped", reason="no_match")

    page = admin_client.get("/admin/newsletter/edition/").text

    counts = {name: int(n) for name, n in re.findall(r'class="field-(\w+)[^"]*">(\d+)<', page)}
    assert counts["new_count"] == 3
    columns = re.search(r'<td class="field-new_count">3</td>(.*?)<td class="field-closed_at', page, re.DOTALL)
    assert columns is not None
    assert re.findall(r">(\d+)<", columns[1]) == ["2", "0", "1", "0", "0", "1"]


def test_an_edition_says_who_did_not_get_it_and_why(admin_client, edition):
    reader = make_subscriber()
    make_delivery(edition, reader, state="skipped", reason="no_match")
    make_delivery(edition, state="skipped", reason="paused")
    make_delivery(edition, state="failed", error="550 no such user")

    page = admin_client.get(f"/admin/newsletter/edition/{edition.pk}/change/", follow=True).text
    assert "550 no such user" in page
    [link] = re.findall(r'href="([^"]+reason__exact=no_match)"', page)
    listed = admin_client.get(link.replace("&amp;", "&")).text

    assert reader.email in listed
    assert listed.count("@example.org") == 1


def test_a_delivery_shows_its_papers_and_never_its_token(admin_client, edition):
    delivery = make_digest(edition)
    event(delivery)

    page = admin_client.get(f"/admin/newsletter/delivery/{delivery.pk}/change/").text

    assert "Robots, part 0" in page
    assert delivery.subscriber.email in page
    assert delivery.token not in page


def test_hostile_text_is_shown_as_text(admin_client):
    paper = make_paper(title="<script>alert(1)</script>")
    delivery = make_digest(make_edition(papers=(paper,)), error="<img src=x>")

    page = admin_client.get(f"/admin/newsletter/delivery/{delivery.pk}/change/").text

    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert" not in page
    assert "<img src=x>" not in page


def test_who_may_not_see_readers_sees_no_address(clerk, edition):
    delivery = make_digest(edition, make_subscriber(email="somebody@example.org"))

    for address in ("", f"{delivery.pk}/change/"):
        page = clerk.get(f"/admin/newsletter/delivery/{address}").text
        assert "somebody@" not in page
        assert "s…@example.org" in page
    # Nor is there a search that would say whether an address is among the readers.
    assert clerk.get("/admin/newsletter/delivery/?q=somebody").text.count("s…@example.org") == 1


@pytest.mark.parametrize("name", LISTS)
def test_nothing_is_added_or_deleted_by_hand(admin_client, name):
    assert admin_client.get(f"/admin/newsletter/{name}/add/").status_code == 403


def test_an_edition_can_be_paused_resumed_and_cancelled(admin_client, edition):
    make_digest(edition)

    act(admin_client, "pause", edition)
    assert state_of(edition) == "paused"
    act(admin_client, "resume", edition)
    assert state_of(edition) == "sending"
    act(admin_client, "cancel", edition)
    assert state_of(edition) == "cancelled"
    assert Delivery.objects.get().reason == "cancelled"


@pytest.mark.parametrize("action", ["pause", "resume", "cancel"])
def test_who_may_not_send_may_not_stop_either(clerk, edition, action):
    act(clerk, action, edition)

    assert state_of(edition) == "closed"
