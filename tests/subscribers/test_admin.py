"""The operator finds readers, pauses and blocks them, and cannot bring back who left."""

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from subscribers import emails, tokens
from subscribers.models import (
    Attempt,
    Consent,
    Follow,
    Interest,
    Mail,
    Subscriber,
    Suppression,
    Token,
    hash_address,
)
from subscribers.signup import LIMITS
from tests.factories import make_mail, make_subscriber

pytestmark = pytest.mark.django_db

READERS = "/admin/subscribers/subscriber/"


def page(answer):
    assert answer.status_code == 200
    return answer.content.decode()


def act(client, action, *readers):
    data = {"action": action, "_selected_action": [reader.pk for reader in readers]}
    return page(client.post(READERS, data, follow=True))


def form_of(client, address):
    """Return what a browser would send if nothing was changed."""
    context = client.get(address).context
    data: dict[str, object] = {}
    forms = [context["adminform"].form]
    for formset in context["inline_admin_formsets"]:
        data |= {f"{formset.formset.prefix}-{name}": n for name, n in (("TOTAL_FORMS", 0), ("INITIAL_FORMS", 0))}
        for key, value in formset.formset.management_form.initial.items():
            data[f"{formset.formset.prefix}-{key}"] = value
        forms += formset.formset.forms
    for form in forms:
        for box in form:
            value = box.value()
            if value is not None and value is not False:
                data[box.html_name] = "on" if value is True else value
    return data


def change(client, reader, **changes):
    address = f"{READERS}{reader.pk}/change/"
    answer = client.post(address, form_of(client, address) | changes)
    reader.refresh_from_db()
    return answer


def errors(answer):
    context = page(answer) and answer.context
    return str(context["adminform"].form.errors) + str([f.formset.errors for f in context["inline_admin_formsets"]])


def test_lists_find_readers_by_address_state_and_interest(admin_client):
    ada = make_subscriber(email="ada@example.org", interests=("robots",))
    make_subscriber(email="ben@example.org", state="paused", interests=("graphs",))

    for query in ("?q=ada", "?state__exact=active", f"?interest={ada.follows.get().interest_id}"):
        text = page(admin_client.get(READERS + query))
        assert "ada@example.org" in text
        assert "ben@example.org" not in text
    assert "ben@example.org" in page(admin_client.get(f"{READERS}?interest=nonsense"))


@pytest.mark.parametrize(
    "model", ["subscriber", "interest", "follow", "consent", "suppression", "mail", "token", "attempt"]
)
def test_no_list_asks_the_database_once_per_row(model, admin_client):
    def fill():
        for _ in range(5):
            reader = make_subscriber(interests=(f"topic {Interest.objects.count()}", "robots"))
            make_mail(reader)
            tokens.issue(reader, Token.Purpose.CONFIRM)
            Consent.objects.create(subscriber=reader, kind="signed_up")
            Suppression.objects.create(address_hash=hash_address(reader.email), reason="bounce")
            Attempt.objects.create(scope="address", key=hash_address(reader.email), hour=timezone.now())

    address = f"/admin/subscribers/{model}/"
    fill()
    page(admin_client.get(address))
    with CaptureQueriesContext(connection) as few:
        page(admin_client.get(address))
    fill()
    with CaptureQueriesContext(connection) as many:
        page(admin_client.get(address))

    assert len(many) == len(few)


def test_a_readers_page_asks_as_often_for_many_interests_as_for_one(admin_client):
    few = make_subscriber(interests=("one",))
    many = make_subscriber(interests=tuple(f"topic {n}" for n in range(30)))
    counts = []
    for reader in (few, few, many):
        with CaptureQueriesContext(connection) as captured:
            page(admin_client.get(f"{READERS}{reader.pk}/change/"))
        counts.append(len(captured))

    assert counts[1] == counts[2]


def test_saving_a_reader_unchanged_changes_nothing(admin_client):
    reader = make_subscriber(interests=("robots", "graphs"), mutes=("surveys",))
    before = Subscriber.objects.values().get(), list(Follow.objects.values("wording", "is_muted", "interest"))

    assert change(admin_client, reader).status_code == 302

    assert before == (Subscriber.objects.values().get(), list(Follow.objects.values("wording", "is_muted", "interest")))


def test_an_unsubscribed_reader_is_not_brought_back(admin_client):
    reader = make_subscriber(state="unsubscribed")

    for state in ("active", "paused", "pending"):
        assert "Only a sign-up of their own" in errors(change(admin_client, reader, state=state))
        assert reader.state == "unsubscribed"


def test_a_pending_reader_is_not_confirmed_by_the_operator(admin_client):
    reader = make_subscriber(state="pending", confirmed_at=None)

    assert "Only the reader can confirm" in errors(change(admin_client, reader, state="active"))
    assert reader.state == "pending"


def test_who_unsubscribes_while_the_form_is_open_stays_unsubscribed(admin_client):
    reader = make_subscriber()
    address = f"{READERS}{reader.pk}/change/"
    opened = form_of(admin_client, address)
    admin_client.post(f"/u/{reader.unsubscribe_token}")

    assert "Only a sign-up of their own" in errors(admin_client.post(address, opened))


def test_unsubscribing_somebody_leaves_what_every_leaving_leaves(admin_client):
    reader = make_subscriber()

    assert change(admin_client, reader, state="unsubscribed").status_code == 302

    assert reader.state == "unsubscribed"
    assert Suppression.objects.get().reason == "unsubscribed"
    assert reader.consents.get().kind == "unsubscribed"


def test_the_address_of_a_reader_is_the_readers_to_change(admin_client):
    reader = make_subscriber(email="ada@example.org")

    change(admin_client, reader, email="eve@example.org")

    assert reader.email == "ada@example.org"


def test_interests_are_edited_in_the_readers_words(admin_client):
    reader = make_subscriber(interests=("robots", "graphs"))

    answer = change(
        admin_client,
        reader,
        **{"follows-0-wording": "graphs", "follows-1-wording": "Robots", "follows-1-is_starred": "on"},
    )

    assert answer.status_code == 302
    assert list(reader.follows.values_list("wording", "is_starred")) == [("graphs", False), ("Robots", True)]
    assert Interest.objects.count() == 2


@pytest.mark.parametrize(
    ("changes", "remedy"),
    [
        ({"follows-0-wording": 'foo "bar'}, "never closed"),
        ({"follows-0-is_starred": "on", "follows-0-is_muted": "on"}, "cannot be starred"),
        ({"timezone": "Mars"}, "Europe/Berlin"),
        ({"paused_until": "2030-01-01"}, "Only a paused reader"),
    ],
)
def test_an_error_says_what_to_do_and_changes_nothing(changes, remedy, admin_client):
    reader = make_subscriber(interests=("robots",))

    assert remedy in errors(change(admin_client, reader, **changes))
    assert [row.wording for row in reader.follows.all()] == ["robots"]


def test_an_interest_that_was_given_up_is_forgotten(admin_client):
    reader = make_subscriber(interests=("robots",))

    change(admin_client, reader, **{"follows-0-DELETE": "on"})

    assert not reader.follows.exists()
    assert not Interest.objects.exists()


def add(client, address):
    data = form_of(client, f"{READERS}add/") | {"email": address}
    return client.post(f"{READERS}add/", data, follow=True)


def test_an_added_reader_is_pending_and_asked_to_confirm(admin_client):
    page(add(admin_client, "Ada@Example.org"))

    reader = Subscriber.objects.get()
    assert (reader.email, reader.state) == ("ada@example.org", "pending")
    assert reader.mails.get().kind == "confirmation"


@pytest.mark.parametrize(
    ("reason", "remedy"), [("erased", "Only a sign-up of their own"), ("unsubscribed", "Only"), ("bounce", "blocked")]
)
def test_who_left_or_is_blocked_is_not_added(reason, remedy, admin_client):
    Suppression.objects.create(address_hash=hash_address("ada@example.org"), reason=reason)

    assert remedy in errors(add(admin_client, "ada@example.org"))
    assert not Subscriber.objects.exists()


def test_pause_and_resume_move_only_those_they_can(admin_client):
    active, paused, left = (make_subscriber(state=state) for state in ("active", "paused", "unsubscribed"))
    readers = (active, paused, left)

    act(admin_client, "pause", *readers)
    assert [Subscriber.objects.get(pk=reader.pk).state for reader in readers] == ["paused", "paused", "unsubscribed"]

    act(admin_client, "resume", *readers)
    assert [Subscriber.objects.get(pk=reader.pk).state for reader in readers] == ["active", "active", "unsubscribed"]
    assert LogEntry.objects.count() == 3


def test_the_confirmation_goes_again_to_the_pending_alone(admin_client, provider):
    pending = make_subscriber(state="pending")
    others = [make_subscriber(state=state) for state in ("active", "unsubscribed")]

    text = act(admin_client, "confirm_again", pending, *others)
    emails.send_due(timezone.now(), provider)

    assert provider.addresses == [pending.email]
    assert "Left out: 2" in text


def test_the_operator_too_goes_through_the_gate(admin_client, monkeypatch):
    reader = make_subscriber(state="pending")
    for _ in range(5):
        act(admin_client, "confirm_again", reader)
    assert reader.mails.count() == LIMITS[Attempt.Scope.ADDRESS]

    monkeypatch.setitem(LIMITS, Attempt.Scope.TOTAL, 0)
    text = act(admin_client, "confirm_again", make_subscriber(state="pending"))
    assert "The limit of mails in an hour is reached" in text


def test_a_blocked_address_is_mailed_nothing_until_the_block_is_lifted(admin_client, provider):
    reader = make_subscriber()
    act(admin_client, "suppress", reader)
    act(admin_client, "suppress", reader)
    make_mail(reader)
    emails.send_due(timezone.now(), provider)
    assert provider.addresses == []

    block = Suppression.objects.get()
    admin_client.post(f"/admin/subscribers/suppression/{block.pk}/delete/", {"post": "yes"})
    make_mail(reader)
    emails.send_due(timezone.now(), provider)
    assert provider.addresses == [reader.email]


def test_an_address_is_blocked_by_typing_it_and_only_its_hmac_is_stored(admin_client):
    address = "/admin/subscribers/suppression/add/"

    admin_client.post(address, {"address": "Ada@Example.org"})

    row = Suppression.objects.get()
    assert (row.reason, row.address_hash) == ("operator", hash_address("ada@example.org"))
    assert "blocked already" in page(admin_client.post(address, {"address": "ada@example.org"}))
    assert row.address_hash[:12] in page(admin_client.get("/admin/subscribers/suppression/?q=ada@example.org"))
    assert row.address_hash[:12] not in page(admin_client.get("/admin/subscribers/suppression/?q=ben@example.org"))


@pytest.mark.parametrize("reason", ["unsubscribed", "erased"])
def test_what_remembers_that_somebody_left_is_not_deleted(reason, admin_client):
    row = Suppression.objects.create(address_hash=hash_address("ada@example.org"), reason=reason)

    answer = admin_client.post(f"/admin/subscribers/suppression/{row.pk}/delete/", {"post": "yes"})
    admin_client.post(
        "/admin/subscribers/suppression/",
        {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"},
    )

    assert answer.status_code == 403
    assert Suppression.objects.exists()


@pytest.mark.parametrize("model", ["consent", "mail", "token", "attempt", "interest"])
def test_what_happened_is_neither_added_changed_nor_deleted(model, admin_client):
    reader = make_subscriber(interests=("robots",))
    make_mail(reader)
    tokens.issue(reader, Token.Purpose.CONFIRM)
    row = {
        "consent": Consent.objects.create(subscriber=reader, kind="signed_up"),
        "mail": Mail.objects.get(),
        "token": Token.objects.get(),
        "attempt": Attempt.objects.create(scope="total", key="k", hour=timezone.now()),
        "interest": Interest.objects.get(),
    }[model]
    base = f"/admin/subscribers/{model}/"

    assert admin_client.get(f"{base}add/").status_code == 403
    assert admin_client.post(f"{base}{row.pk}/delete/", {"post": "yes"}).status_code == 403
    assert admin_client.post(f"{base}{row.pk}/change/", {}).status_code == 403
    page(admin_client.get(f"{base}{row.pk}/change/"))


def test_no_page_shows_a_token(admin_client):
    reader = make_subscriber()
    mail = make_mail(reader)
    token = tokens.issue(reader, Token.Purpose.CONFIRM)
    row = Token.objects.get()
    secrets = [reader.unsubscribe_token, reader.feed_token, mail.token, token, row.digest]

    for address in (
        READERS,
        f"{READERS}{reader.pk}/change/",
        "/admin/subscribers/mail/",
        f"/admin/subscribers/mail/{mail.pk}/change/",
        "/admin/subscribers/token/",
        f"/admin/subscribers/token/{row.pk}/change/",
    ):
        text = page(admin_client.get(address))
        assert not [secret for secret in secrets if secret in text]


def test_deleting_a_reader_leaves_only_what_keeps_them_from_being_imported_again(admin_client):
    reader = make_subscriber(interests=("robots",))
    make_mail(reader)
    Consent.objects.create(subscriber=reader, kind="signed_up")
    address = f"{READERS}{reader.pk}/delete/"

    assert "Are you sure" in page(admin_client.get(address))
    assert admin_client.post(address, {"post": "yes"}).status_code == 302

    assert not Subscriber.objects.exists()
    assert not Consent.objects.exists()
    assert not Interest.objects.exists()
    assert (Suppression.objects.get().reason, Suppression.objects.get().address_hash) == (
        "erased",
        hash_address(reader.email),
    )


def test_hostile_wording_is_escaped(admin_client):
    reader = make_subscriber(interests=('"<script>alert(1)</script>"',))

    for address in (f"{READERS}{reader.pk}/change/", "/admin/subscribers/interest/", READERS):
        assert "<script>alert" not in page(admin_client.get(address))
