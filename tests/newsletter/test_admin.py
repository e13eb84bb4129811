"""The operator's desk for editions: who got it, who did not and why, and what may be done by whom."""

import datetime as dt
import re
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from newsletter import proofs, tick
from newsletter.admin_editions import EditionAdmin
from newsletter.models import Chunk, Delivery, DeliveryEvent, Edition, Proof
from subscribers.models import Interest
from tests.conftest import ROOT
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
    columns = re.search(r'<td class="field-new_count">3</td>(.*?)</tr>', page, re.DOTALL)
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


def test_every_readers_outcome_is_one_query(edition, django_assert_num_queries):
    for state, reason in (("accepted", ""), ("delivered", ""), ("skipped", "no_match"), ("unknown", "")):
        make_delivery(edition, state=state, reason=reason, accepted_at=timezone.now())
    page = EditionAdmin(Edition, admin.site)

    with django_assert_num_queries(1):
        table = page.outcomes(edition)

    lines = re.findall(
        r'row">(.*?)</th><td class="number">(\d+)</td><td class="number">(.*?) %</td><td>(.*?)</td>', table
    )
    assert [(got, int(count), share) for got, count, share, _ in lines] == [
        ("yes", 2, "50.0"),
        ("no", 1, "25.0"),
        ("perhaps", 1, "25.0"),
    ]
    assert [re.findall(r">([^<]+)</a>", links) for *_, links in lines] == [
        ["1 Accepted", "1 Delivered"],
        ["1 nothing matched"],
        ["1 unknown: may have gone"],
    ]


def test_the_query_that_the_readme_gives_says_who_did_not_get_it_and_why(edition):
    got, failed, skipped = make_subscriber(), make_subscriber(), make_subscriber()
    make_delivery(edition, got, state="delivered")
    make_delivery(edition, failed, state="failed", error="550 no such user")
    make_delivery(edition, skipped, state="skipped", reason="no_match")
    make_delivery(make_edition(edition.date + dt.timedelta(days=1)), skipped, state="skipped", reason="paused")
    [query] = re.findall(r"```sql\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)

    with connection.cursor() as cursor:
        cursor.execute(query)
        rows = set(cursor.fetchall())

    assert edition.date == dt.date(2026, 7, 1)
    assert rows == {(failed.email, "failed", "", "550 no such user"), (skipped.email, "skipped", "no_match", "")}


def test_an_edition_says_which_errors_are_frequent(admin_client, edition):
    for error in ("421 busy", "550 no such user", "421 busy"):
        make_delivery(edition, state="failed", error=error)
    make_delivery(edition, state="accepted", accepted_at=timezone.now(), error="what the first attempt met")

    page = admin_client.get(f"/admin/newsletter/edition/{edition.pk}/change/").text

    assert re.findall(r"<li>(\d × Failed: .*?)</li>", page) == ["2 × Failed: 421 busy", "1 × Failed: 550 no such user"]


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
    for words in ("somebody", "somebody@example.org"):
        assert "s…@example.org" not in clerk.get("/admin/newsletter/delivery/", {"q": words}).text


def test_a_digest_is_found_by_the_ids_in_its_headers_and_at_the_provider(clerk, edition):
    wanted: dict[str, Any] = {"message_id": "<ours@example.org>", "provider_message_id": "theirs-1"}
    make_digest(edition, make_subscriber(email="wanted@example.org"), **wanted)
    make_digest(edition, make_subscriber(email="other@example.org"))

    for words in wanted.values():
        page = clerk.get("/admin/newsletter/delivery/", {"q": words}).text
        assert re.findall(r"\w…@example.org", page) == ["w…@example.org"]


def test_an_event_leads_to_its_digest(admin_client, edition):
    delivery = make_digest(edition)
    event(delivery)
    DeliveryEvent.objects.create(key="theirs", provider="Postmark", kind="bounced", occurred_at=timezone.now())

    page = admin_client.get("/admin/newsletter/deliveryevent/").text

    assert f'<a href="/admin/newsletter/delivery/{delivery.pk}/change/">a digest</a>' in page
    assert page.count("no mail of ours") == 1


def test_a_chunk_says_how_many_are_left(admin_client, edition):
    first = make_digest(edition)
    for state in ("retry", "sending", "failed"):
        make_digest(edition, state=state, chunk=first.chunk, error="421")

    page = admin_client.get("/admin/newsletter/chunk/").text

    assert re.findall(r'field-left">(\d+)<', page) == ["3"]


@pytest.mark.parametrize("name", LISTS)
def test_nothing_is_added_or_deleted_by_hand(admin_client, name):
    assert admin_client.get(f"/admin/newsletter/{name}/add/").status_code == 403


def test_an_edition_can_be_paused_and_resumed_from_the_list(admin_client, edition):
    make_digest(edition)

    act(admin_client, "pause", edition)
    assert state_of(edition) == "paused"
    act(admin_client, "resume", edition)
    assert state_of(edition) == "sending"
    act(admin_client, "cancel", edition)  # one at a time, from its page, where it is asked
    assert state_of(edition) == "sending"


@pytest.mark.parametrize("action", ["pause", "resume", "cancel"])
def test_who_may_not_send_may_not_stop_either(clerk, edition, action):
    act(clerk, action, edition)

    assert state_of(edition) == "closed"


# The buttons of a page --------------------------------------------------------------------------


def press(client, edition: Edition, name: str, **more: str):
    return client.post(f"/admin/newsletter/edition/{edition.pk}/change/", {"do": name, **more}, follow=True)


def buttons(client, address: str) -> list[str]:
    return re.findall(r'name="do" value="(\w+)"', client.get(address, follow=True).text)


@pytest.mark.parametrize(
    ("state", "can"),
    [
        ("closed", ["pause", "test", "cancel"]),
        ("sending", ["pause", "send_the_rest", "test", "cancel"]),
        ("paused", ["resume", "send_the_rest", "test", "cancel"]),
        ("cancelled", ["test"]),
        ("done", ["test"]),
    ],
)
def test_an_editions_page_offers_what_can_be_done(admin_client, edition, state, can):
    Edition.objects.update(state=state)

    assert buttons(admin_client, f"/admin/newsletter/edition/{edition.pk}/change/") == can


def test_the_buttons_do_what_they_say(admin_client, edition, mailoutbox):
    waits = make_digest(edition, state="retry", next_attempt_at=timezone.now() + dt.timedelta(hours=1))

    press(admin_client, edition, "pause")
    assert state_of(edition) == "paused"
    page = press(admin_client, edition, "send_the_rest").text
    assert "The workers send what is still open" in page
    assert state_of(edition) == "sending"
    waits.refresh_from_db()
    assert waits.next_attempt_at is None
    press(admin_client, edition, "cancel", sure="yes")
    assert state_of(edition) == "cancelled"
    assert "cannot be done" in press(admin_client, edition, "cancel", sure="yes").text
    assert "cannot be done" in press(admin_client, edition, "resume").text
    assert "cannot be done" in press(admin_client, edition, "delete_everything").text
    assert mailoutbox == []


def test_unknown_digests_are_sent_again_only_while_their_edition_is_the_newest(admin_client, edition):
    unknown, failed = make_digest(edition, state="unknown"), make_digest(edition, state="failed", error="no")

    assert "1 digest is sent again" in press(admin_client, edition, "send_again", sure="yes").text
    unknown.refresh_from_db()
    failed.refresh_from_db()
    assert (unknown.state, unknown.chunk, failed.state) == ("pending", None, "failed")

    Delivery.objects.filter(pk=unknown.pk).update(state="unknown")
    make_edition(edition.date + dt.timedelta(days=1))
    assert "send_again" not in buttons(admin_client, f"/admin/newsletter/edition/{edition.pk}/change/")
    assert "cannot be done" in press(admin_client, edition, "send_again", sure="yes").text
    unknown.refresh_from_db()
    assert unknown.state == "unknown"


def test_one_unknown_digest_is_sent_again_from_its_own_page(admin_client, edition):
    unknown, other = make_digest(edition, state="unknown"), make_digest(edition, state="unknown")
    address = f"/admin/newsletter/delivery/{unknown.pk}/change/"
    assert buttons(admin_client, address) == ["send_again"]

    said = [admin_client.post(address, {"do": "send_again", "sure": "yes"}, follow=True).text for _ in range(2)]

    assert set(Delivery.objects.values_list("pk", "state")) == {(unknown.pk, "pending"), (other.pk, "unknown")}
    assert buttons(admin_client, address) == []
    assert "1 digest is sent again" in said[0]
    assert "None of these may be sent again" in said[1]


def posted(page: str) -> dict[str, str]:
    """Return what the button of a page that asks would post."""
    fields = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page)
    return {name: value for name, value in fields if name != "csrfmiddlewaretoken"} | {"sure": "yes"}


@pytest.mark.parametrize(("name", "concerned"), [("cancel", "3 readers are"), ("send_again", "1 reader is")])
def test_what_cannot_be_undone_is_asked_first_with_whom_it_concerns(admin_client, edition, name, concerned):
    for state in ("pending", "pending", "retry", "unknown"):
        make_digest(edition, state=state)
    before = list(Delivery.objects.values_list("pk", "state"))

    page = press(admin_client, edition, name).text

    assert f"{concerned} concerned." in page
    assert f"Edition {edition.date}" in page
    assert (state_of(edition), list(Delivery.objects.values_list("pk", "state"))) == ("closed", before)
    assert posted(page) == {"do": name, "sure": "yes"}
    press(admin_client, edition, name, sure="yes")
    assert list(Delivery.objects.values_list("pk", "state")) != before


def test_many_unknown_digests_are_sent_again_from_their_list_when_the_operator_is_sure(admin_client, edition):
    rows = [make_digest(edition, state=state, error="no") for state in ("unknown", "unknown", "failed")]
    chosen = {"action": "send_again", "_selected_action": [row.pk for row in rows], "index": "0"}

    page = admin_client.post("/admin/newsletter/delivery/", chosen).text

    assert "2 readers are concerned." in page
    assert Delivery.objects.filter(state="unknown").count() == 2
    answer = admin_client.post("/admin/newsletter/delivery/", chosen | {"sure": "yes"}, follow=True)
    assert "2 digests are sent again." in answer.text
    assert list(Delivery.objects.order_by("pk").values_list("state", flat=True)) == ["pending", "pending", "failed"]


def test_who_may_not_send_has_no_buttons(clerk, edition):
    unknown = make_digest(edition, state="unknown")

    for address in (f"edition/{edition.pk}", f"delivery/{unknown.pk}"):
        assert buttons(clerk, f"/admin/newsletter/{address}/change/") == []
        for sure in ({}, {"sure": "yes"}):
            answer = clerk.post(f"/admin/newsletter/{address}/change/", {"do": "send_again", **sure})
            assert answer.status_code == 403
    unknown.refresh_from_db()
    assert unknown.state == "unknown"


def test_who_got_it_is_one_filter_away(admin_client, edition):
    readers = {
        "yes": make_delivery(edition, state="accepted", accepted_at=timezone.now()).subscriber,
        "no": make_delivery(edition, state="skipped", reason="warm_up").subscriber,
        "perhaps": make_delivery(edition, state="unknown").subscriber,
        "not yet": make_delivery(edition).subscriber,
    }

    for got, reader in readers.items():
        page = admin_client.get("/admin/newsletter/delivery/", {"got": got, "edition__id__exact": edition.pk}).text
        assert re.findall(r"reader\d+@example.org", page) == [reader.email]


def test_an_edition_counts_who_has_no_outcome_yet(admin_client, edition):
    make_delivery(edition)
    for _ in range(2):
        make_subscriber()

    page = admin_client.get(f"/admin/newsletter/edition/{edition.pk}/change/").text

    assert re.search(r'field-not_yet_due.*?readonly">2<', page, re.DOTALL)


# A test to oneself ------------------------------------------------------------------------------


def test_a_test_goes_to_the_operator_alone_and_not_within_the_request(admin_client, edition, mailoutbox):
    reader = make_subscriber()
    User.objects.update(email="Operator@Example.org")

    for _ in range(2):  # a second click makes no second mail
        assert "A test to Operator@Example.org goes out" in press(admin_client, edition, "test").text
    assert mailoutbox == []
    sent = [tick.mail(timezone.now()) for _ in range(2)]

    assert sent == [{"proof accepted": 1}, {}]
    [mail] = mailoutbox
    assert mail.to == ["operator@example.org"]
    assert mail.subject.startswith("[Test] Robots, part 0")
    assert reader.unsubscribe_token not in mail.body
    assert not Delivery.objects.exists()
    page = admin_client.get(f"/admin/newsletter/edition/{edition.pk}/change/").text
    assert "operator@example.org: accepted" in page


def test_an_operator_who_reads_gets_their_own_digest(edition, mailoutbox):
    make_edition(edition.date - dt.timedelta(days=1))
    reader = make_subscriber(email="operator@example.org", interests=('"part 2"',))
    proofs.ask(edition, reader.email)

    tick.mail(timezone.now())

    assert mailoutbox[0].subject.startswith("[Test] Robots, part 2")


def test_an_operator_without_an_address_is_told(admin_client, edition):
    User.objects.update(email="")

    assert "has no address" in press(admin_client, edition, "test").text
    assert not Proof.objects.exists()


def test_a_test_that_cannot_be_made_says_why(edition, mailoutbox):
    reader = make_subscriber(email="operator@example.org", interests=("robots",))
    Interest.objects.update(canonical='"never closed')
    proof = proofs.ask(edition, reader.email)

    tick.mail(timezone.now())

    proof.refresh_from_db()
    assert proof.outcome.startswith("skipped: no digest could be chosen")
    assert mailoutbox == []
