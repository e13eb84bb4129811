"""What providers really post, in the shapes of their documentation, to the addresses that they are given."""

import base64
import datetime as dt
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from newsletter import messages, webhooks
from newsletter.models import Delivery, DeliveryEvent
from subscribers.models import Suppression, hash_address
from tests.factories import make_digest, make_subscriber
from tests.newsletter.reports import (
    ADA,
    AT,
    COMPLAINING,
    POSTALS,
    PROVIDERS,
    SENDGRID_KEY,
    SETTINGS,
    SOFT,
    THEIRS,
    TRYING_AGAIN,
    UNSUBSCRIBING,
    address,
    public,
    resend,
    signed,
)

pytestmark = [
    pytest.mark.django_db,
    # Anymail has no account at SendGrid to test with any more, and says so at each call.
    pytest.mark.filterwarnings("ignore:django-anymail has dropped official support for SendGrid"),
]

NOW = dt.datetime(2026, 7, 1, 8, tzinfo=dt.UTC)
SECRET = {"Authorization": "Basic dXNlcjpzZWNyZXQ="}


@pytest.fixture(autouse=True)
def _secrets(settings):
    settings.ANYMAIL = dict(SETTINGS)


@pytest.fixture
def delivery() -> Delivery:
    reader = make_subscriber(email=ADA)
    delivery = make_digest(subscriber=reader, state="accepted", accepted_at=NOW)
    delivery.message_id = messages.message_id(delivery)
    delivery.save()
    return delivery


def post(client, provider: str, body: Any, **headers: str):
    data, own = signed(provider, body)
    kind = "application/x-www-form-urlencoded" if provider == "mandrill" else "application/json"
    return client.post(address(provider), data, content_type=kind, headers={**own, **(headers or SECRET)})


def report(client, provider: str, kind: str, delivery: Delivery) -> int:
    # The others give our own id back.
    Delivery.objects.update(provider_message_id={"mailersend": THEIRS, "postal": f"{POSTALS}"}.get(provider, ""))
    return int(post(client, provider, PROVIDERS[provider](kind, messages.opaque_id(delivery))).status_code)


def state_of(delivery: Delivery) -> str:
    delivery.refresh_from_db()
    return str(delivery.state)


def suppressions() -> list[tuple[str, str]]:
    return list(Suppression.objects.values_list("address_hash", "reason"))


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_delivery_is_reported(client, delivery, provider):
    assert [report(client, provider, "delivered", delivery) for _ in range(2)] == [200, 200]

    assert state_of(delivery) == "delivered"
    assert DeliveryEvent.objects.count() == 1
    assert suppressions() == []


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_hard_bounce_suppresses_at_once(client, delivery, provider):
    assert report(client, provider, "hard", delivery) == 200

    assert state_of(delivery) == "bounced"
    assert suppressions() == [(hash_address(ADA), "bounce")]


@pytest.mark.parametrize("provider", COMPLAINING)
def test_a_complaint_suppresses_at_once(client, delivery, provider):
    assert report(client, provider, "complained", delivery) == 200

    assert state_of(delivery) == "complained"
    assert suppressions() == [(hash_address(ADA), "complaint")]


@pytest.mark.parametrize("provider", SOFT)
def test_a_soft_bounce_suppresses_nobody(client, delivery, provider):
    assert report(client, provider, "soft", delivery) == 200

    assert state_of(delivery) == "bounced"
    assert suppressions() == []


@pytest.mark.parametrize("provider", TRYING_AGAIN)
def test_a_failure_that_the_provider_tries_again_changes_nothing(client, delivery, provider):
    assert report(client, provider, "soft", delivery) == 200

    assert DeliveryEvent.objects.get().kind == "deferred"
    assert (state_of(delivery), suppressions()) == ("accepted", [])


@pytest.mark.parametrize("provider", UNSUBSCRIBING)
def test_who_unsubscribes_at_the_provider_is_unsubscribed(client, delivery, provider):
    assert report(client, provider, "unsubscribed", delivery) == 200

    delivery.subscriber.refresh_from_db()
    assert delivery.subscriber.state == "unsubscribed"
    assert state_of(delivery) == "accepted"


@pytest.mark.parametrize("name", ["email.failed", "email.suppressed"])
def test_what_resend_did_not_send_reached_nobody_and_suppresses_nobody(client, delivery, name):
    body = resend("delivered", messages.opaque_id(delivery)) | {"type": name}

    assert post(client, "resend", body).status_code == 200
    assert (state_of(delivery), suppressions()) == ("bounced", [])


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("kind", ["delivered", "hard"])
def test_a_report_about_a_mail_that_is_not_ours_is_kept_and_harmless(client, delivery, provider, kind):
    assert post(client, provider, PROVIDERS[provider](kind, "f" * 32)).status_code == 200

    event = DeliveryEvent.objects.get()
    assert (event.delivery, event.mail) == (None, None)
    assert (state_of(delivery), suppressions()) == ("accepted", [])


@pytest.mark.parametrize("metadata", ["[]", '"id"', '{"id": null}', '{"id": ["x"]}', "{}"])
def test_metadata_of_another_shape_are_nobodys(client, delivery, metadata):
    body = PROVIDERS["brevo"]("hard", "") | {"X-Mailin-custom": metadata}

    assert post(client, "brevo", body).status_code == 200
    assert (state_of(delivery), suppressions()) == ("accepted", [])


@pytest.mark.parametrize("provider", ["sparkpost", "mandrill"])
def test_many_reports_may_come_at_once(client, delivery, provider):
    [one] = PROVIDERS[provider]("hard", messages.opaque_id(delivery))
    body = [one | {"padding": "x" * 3_000_000}]  # Django takes 2.5 MB of a form

    assert post(client, provider, body).status_code == 200
    assert state_of(delivery) == "bounced"


def test_no_report_is_endless(client):
    answer = client.post(address("postmark"), {}, headers=SECRET, CONTENT_LENGTH=f"{webhooks.LONGEST + 1}")

    assert answer.status_code == 413


# Who is believed --------------------------------------------------------------------------------


def test_every_provider_that_anymail_has_reports_for_is_tested_here():
    addresses = {f"/anymail/{pattern.pattern}" for pattern in webhooks.urlpatterns}

    # The old names of Brevo and of Mandrill's address.
    assert addresses - {address(provider) for provider in PROVIDERS} == {
        "/anymail/sendinblue/tracking/",
        "/anymail/mandrill/tracking/",
    }


@pytest.mark.parametrize("pattern", webhooks.urlpatterns, ids=lambda pattern: pattern.name)
def test_nobody_reports_anything_without_the_secret(client, settings, pattern):
    for configured in (SETTINGS, {"WEBHOOK_SECRET": "user:secret"}, {"WEBHOOK_SECRET": ""}, {}):
        settings.ANYMAIL = configured
        for said in ("", "Basic d3Jvbmc6d3Jvbmc=", "Basic Og==", "Basic ", "Basic w", "Bearer user:secret"):
            answer = client.post(f"/anymail/{pattern.pattern}", {"any": "thing"}, headers={"Authorization": said})

            # Amazon sends the password only when it was asked for it.
            assert (answer.status_code, answer.headers["WWW-Authenticate"][:6]) == (401, "Basic ")


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_signature_stands_for_no_secret(client, delivery, provider):
    body = PROVIDERS[provider]("hard", messages.opaque_id(delivery))

    assert post(client, provider, body, Authorization="").status_code == 401
    assert not DeliveryEvent.objects.exists()


@pytest.mark.parametrize("pattern", webhooks.urlpatterns, ids=lambda pattern: pattern.name)
def test_a_provider_that_looks_whether_anybody_is_there_finds_somebody(client, settings, pattern):
    settings.ANYMAIL = {}

    assert client.head(f"/anymail/{pattern.pattern}").status_code == 200


@pytest.mark.parametrize("provider", ["amazon_ses", "postmark", "mailgun"])
def test_no_mail_is_taken_in(client, provider):
    assert client.post(f"/anymail/{provider}/inbound/", headers=SECRET).status_code == 404


@pytest.mark.parametrize(
    ("provider", "header"),
    [("mandrill", "X-Mandrill-Signature"), ("mailersend", "Signature"), ("postal", "X-Postal-Signature")],
)
def test_a_wrong_signature_is_not_believed_even_with_the_secret(client, delivery, provider, header):
    body = PROVIDERS[provider]("hard", messages.opaque_id(delivery))

    assert post(client, provider, body, **SECRET, **{header: "bm9wZQ=="}).status_code == 400
    assert not DeliveryEvent.objects.exists()


def test_a_wrong_signature_in_mailguns_report_is_not_believed(client, delivery):
    body = PROVIDERS["mailgun"]("hard", messages.opaque_id(delivery))
    body["signature"]["signature"] = "0" * 64

    assert post(client, "mailgun", body).status_code == 400
    assert not DeliveryEvent.objects.exists()


@pytest.mark.parametrize(("by", "status"), [(SENDGRID_KEY, 200), (ec.generate_private_key(ec.SECP256R1()), 400)])
def test_sendgrids_signature_is_looked_at_where_its_key_is_set(client, settings, delivery, by, status):
    settings.ANYMAIL = SETTINGS | {"SENDGRID_TRACKING_WEBHOOK_VERIFICATION_KEY": public(SENDGRID_KEY)}
    body = PROVIDERS["sendgrid"]("hard", messages.opaque_id(delivery))
    signature = by.sign(f"{AT}{json.dumps(body)}".encode(), ec.ECDSA(hashes.SHA256()))
    own = {"Signature": base64.b64encode(signature).decode(), "Timestamp": f"{AT}"}

    answer = post(
        client, "sendgrid", body, **SECRET, **{f"X-Twilio-Email-Event-Webhook-{k}": v for k, v in own.items()}
    )

    assert answer.status_code == status
    assert state_of(delivery) == ("bounced" if status == 200 else "accepted")


@pytest.mark.parametrize(("by", "status"), [("c2VjcmV0LW1hZGUtdXA=", 200), ("YW5vdGhlci1vbmU=", 400)])
def test_resends_signature_is_looked_at_where_its_secret_is_set(client, settings, delivery, by, status):
    svix = pytest.importorskip("svix.webhooks")
    settings.ANYMAIL = SETTINGS | {"RESEND_SIGNING_SECRET": "whsec_c2VjcmV0LW1hZGUtdXA="}
    body, now = (
        PROVIDERS["resend"]("hard", messages.opaque_id(delivery)),
        dt.datetime.now(dt.UTC).replace(microsecond=0),
    )
    signature = svix.Webhook(f"whsec_{by}").sign("msg_1", now, json.dumps(body))
    own = {"svix-id": "msg_1", "svix-timestamp": f"{now.timestamp():.0f}", "svix-signature": signature}

    assert post(client, "resend", body, **SECRET, **own).status_code == status
    assert state_of(delivery) == ("bounced" if status == 200 else "accepted")
