"""What providers really post, in the shapes of their documentation, to the addresses that they are given."""

import datetime as dt
import hashlib
import hmac
import json
from typing import Any

import pytest

from newsletter import messages
from newsletter.models import Delivery, DeliveryEvent
from subscribers.models import Suppression, hash_address
from tests.factories import make_digest, make_subscriber

pytestmark = [
    pytest.mark.django_db,
    # Anymail has no account at SendGrid to test with any more, and says so at each call.
    pytest.mark.filterwarnings("ignore:django-anymail has dropped official support for SendGrid"),
]

NOW = dt.datetime(2026, 7, 1, 8, tzinfo=dt.UTC)
SECRET = {"Authorization": "Basic dXNlcjpzZWNyZXQ="}
THEIRS = "0f3a9d6c-7f1e-4a53-9a53-6b7f0e8f2d11"
MAILGUN_KEY = "key-made-up"


@pytest.fixture(autouse=True)
def _secrets(settings):
    settings.ANYMAIL = {"WEBHOOK_SECRET": "user:secret", "MAILGUN_WEBHOOK_SIGNING_KEY": MAILGUN_KEY}


@pytest.fixture
def delivery() -> Delivery:
    reader = make_subscriber(email="ada@example.org")
    delivery = make_digest(subscriber=reader, state="accepted", accepted_at=NOW)
    delivery.message_id = messages.message_id(delivery)
    delivery.save()
    return delivery


# One report in each provider's shape ------------------------------------------------------------


def postmark(kind: str, our_id: str) -> dict[str, Any]:
    """https://postmarkapp.com/developer/webhooks/webhooks-overview."""
    body = {"ServerID": 23, "MessageStream": "broadcast", "MessageID": THEIRS, "Tag": "", "Metadata": {"id": our_id}}
    if kind == "delivered":
        at = {"DeliveredAt": "2026-07-01T08:00:00Z", "Details": "Test delivery webhook details"}
        return {**body, "RecordType": "Delivery", "Recipient": "ada@example.org", **at}
    if kind == "unsubscribed":
        suppressed: dict[str, Any] = {
            "SuppressSending": True,
            "SuppressionReason": "ManualSuppression",
            "Origin": "Recipient",
        }
        at = {"Recipient": "ada@example.org", "ChangedAt": "2026-07-01T08:00:00Z"}
        return {**body, "RecordType": "SubscriptionChange", **at, **suppressed}
    codes = {"hard": ("HardBounce", 1), "soft": ("SoftBounce", 4096), "complained": ("SpamComplaint", 512)}
    name, code = codes[kind]
    record = "SpamComplaint" if kind == "complained" else "Bounce"
    said = {"Description": "A report.", "Details": "action: failed", "BouncedAt": "2026-07-01T08:00:00Z"}
    at = {"Email": "ada@example.org", "From": "digest@papers.example.org"}
    about = {"RecordType": record, "ID": 692560173, "Type": name, "TypeCode": code, "Inactive": kind == "hard"}
    return {**body, **about, **said, **at}


def resend(kind: str, our_id: str) -> dict[str, Any]:
    """https://resend.com/docs/dashboard/webhooks/event-types."""
    events = {"delivered": "delivered", "hard": "bounced", "soft": "bounced", "complained": "complained"}
    data: dict[str, Any] = {
        "created_at": "2026-07-01T07:59:00.000Z",
        "email_id": THEIRS,
        "from": "Paperboy <digest@papers.example.org>",
        "to": ["ada@example.org"],
        "subject": "Robots, and 9 more",
        "headers": [{"name": "X-Metadata", "value": json.dumps({"id": our_id})}],
    }
    if kind in {"hard", "soft"}:
        data["bounce"] = {
            "type": "Permanent" if kind == "hard" else "Transient",
            "subType": "General" if kind == "hard" else "MailboxFull",
            "message": "The recipient's email provider sent a bounce message.",
        }
    return {"type": f"email.{events[kind]}", "created_at": "2026-07-01T08:00:00.000Z", "data": data}


def brevo(kind: str, our_id: str) -> dict[str, Any]:
    """https://developers.brevo.com/docs/transactional-webhooks."""
    events = {
        "delivered": "delivered",
        "hard": "hard_bounce",
        "soft": "soft_bounce",
        "complained": "spam",
        "unsubscribed": "unsubscribe",
    }
    at = {"date": "2026-07-01 10:00:00", "ts": 1782892800, "ts_event": 1782892800, "ts_epoch": 1782892800000}
    body = {"event": events[kind], "email": "ada@example.org", "id": 26224, "message-id": f"<{THEIRS}@smtp-relay>"}
    return {**body, **at, "subject": "Robots", "X-Mailin-custom": json.dumps({"id": our_id}), "sending_ip": "192.0.2.1"}


def mailgun(kind: str, our_id: str) -> dict[str, Any]:
    """https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/webhooks, signed as there."""
    events = {
        "delivered": {"event": "delivered"},
        "hard": {"event": "failed", "severity": "permanent", "reason": "bounce"},
        "soft": {"event": "failed", "severity": "temporary", "reason": "generic"},
        "complained": {"event": "complained"},
        "unsubscribed": {"event": "unsubscribed"},
    }
    token, timestamp = hashlib.sha256(kind.encode()).hexdigest()[:50], "1782892800"
    signature = hmac.new(MAILGUN_KEY.encode(), f"{timestamp}{token}".encode(), hashlib.sha256).hexdigest()
    status = {"code": 550, "message": "5.1.1 The email account does not exist.", "attempt-no": 1}
    about = {"message": {"headers": {"to": "ada@example.org", "message-id": f"{THEIRS}@papers.example.org"}}}
    data = {
        **events[kind],
        **about,
        "recipient": "ada@example.org",
        "timestamp": 1782892800.1,
        "id": "DACSsAdVSeGpLid7TN03WA",
    }
    data |= {"delivery-status": status, "user-variables": {"id": our_id}, "tags": [], "log-level": "info"}
    return {"signature": {"timestamp": timestamp, "token": token, "signature": signature}, "event-data": data}


def sendgrid(kind: str, our_id: str) -> list[dict[str, Any]]:
    """https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/event: a list, metadata among the rest."""
    events = {
        "delivered": {"event": "delivered", "response": "250 OK"},
        "hard": {"event": "bounce", "type": "bounce", "status": "5.1.1", "reason": "550 5.1.1 no such user"},
        "soft": {"event": "bounce", "type": "blocked", "status": "4.2.2", "reason": "452 4.2.2 mailbox is full"},
        "complained": {"event": "spamreport"},
        "unsubscribed": {"event": "unsubscribe"},
    }
    body = {"email": "ada@example.org", "timestamp": 1782892800, "smtp-id": f"<{THEIRS}@ismtpd>", "anymail_id": THEIRS}
    return [
        {**body, **events[kind], "sg_event_id": f"rbtnWrG1DVDGGGFHFyun0A{kind}", "sg_message_id": "14c5", "id": our_id}
    ]


def amazon_ses(kind: str, our_id: str) -> dict[str, Any]:
    """https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-examples.html, within SNS."""
    person = {"emailAddress": "ada@example.org"}
    at = {"timestamp": "2026-07-01T08:00:00.000Z", "feedbackId": "0102017d-made-up"}
    events: dict[str, dict[str, Any]] = {
        "delivered": {"eventType": "Delivery", "delivery": {**at, "recipients": ["ada@example.org"]}},
        "hard": {"eventType": "Bounce", "bounce": {**at, "bounceType": "Permanent", "bounceSubType": "General"}},
        "soft": {"eventType": "Bounce", "bounce": {**at, "bounceType": "Transient", "bounceSubType": "MailboxFull"}},
        "complained": {"eventType": "Complaint", "complaint": {**at, "complaintFeedbackType": "abuse"}},
    }
    events["hard"]["bounce"]["bouncedRecipients"] = [{**person, "diagnosticCode": "smtp; 550 5.1.1 no such user"}]
    events["soft"]["bounce"]["bouncedRecipients"] = [person]
    events["complained"]["complaint"]["complainedRecipients"] = [person]
    headers = [{"name": "X-Metadata", "value": json.dumps({"id": our_id})}]
    mail = {"timestamp": "2026-07-01T07:59:00.000Z", "messageId": THEIRS, "destination": ["ada@example.org"]}
    message = json.dumps({**events[kind], "mail": {**mail, "headersTruncated": False, "headers": headers}})
    topic = {"TopicArn": "arn:aws:sns:us-east-1:123456789012:SES_Events", "Timestamp": "2026-07-01T08:00:01.000Z"}
    return {"Type": "Notification", "MessageId": f"19ba9823-d7f2-53c1-860e-cb10e0d1{kind}", **topic, "Message": message}


PROVIDERS = {f.__name__: f for f in (postmark, resend, brevo, mailgun, sendgrid, amazon_ses)}
# Resend and SES tell of no unsubscribing; Mailgun tries again by itself after what another would call a soft bounce.
UNSUBSCRIBING = ["postmark", "brevo", "mailgun", "sendgrid"]
SOFT = ["postmark", "resend", "brevo", "sendgrid", "amazon_ses"]


def post(client, provider: str, body: Any, headers: dict[str, str] | None = None):
    own = {}
    if provider == "amazon_ses":
        own = {"x-amz-sns-message-type": body["Type"], "x-amz-sns-message-id": body["MessageId"]}
    if provider == "resend":
        own = {"svix-id": f"msg_{body['type']}"}
    address = f"/anymail/{provider}/tracking/"
    return client.post(
        address, body, content_type="application/json", headers=own | (SECRET if headers is None else headers)
    )


def report(client, provider: str, kind: str, delivery: Delivery) -> int:
    return int(post(client, provider, PROVIDERS[provider](kind, messages.opaque_id(delivery))).status_code)


def state_of(delivery: Delivery) -> str:
    delivery.refresh_from_db()
    return str(delivery.state)


def suppressions() -> list[tuple[str, str]]:
    return list(Suppression.objects.values_list("address_hash", "reason"))


ADA = "ada@example.org"


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_delivery_is_reported(client, delivery, provider):
    assert [report(client, provider, "delivered", delivery) for _ in range(2)] == [200, 200]

    assert state_of(delivery) == "delivered"
    assert DeliveryEvent.objects.count() == 1
    assert suppressions() == []


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("kind", ["hard", "complained"])
def test_a_hard_bounce_and_a_complaint_suppress_at_once(client, delivery, provider, kind):
    assert report(client, provider, kind, delivery) == 200

    state, reason = ("bounced", "bounce") if kind == "hard" else ("complained", "complaint")
    assert state_of(delivery) == state
    assert suppressions() == [(hash_address(ADA), reason)]


@pytest.mark.parametrize("provider", SOFT)
def test_a_soft_bounce_suppresses_nobody(client, delivery, provider):
    assert report(client, provider, "soft", delivery) == 200

    assert state_of(delivery) == "bounced"
    assert suppressions() == []


def test_a_failure_that_mailgun_tries_again_changes_nothing(client, delivery):
    assert report(client, "mailgun", "soft", delivery) == 200

    assert DeliveryEvent.objects.get().kind == "deferred"
    assert (state_of(delivery), suppressions()) == ("accepted", [])


@pytest.mark.parametrize("provider", UNSUBSCRIBING)
def test_who_unsubscribes_at_the_provider_is_unsubscribed(client, delivery, provider):
    assert report(client, provider, "unsubscribed", delivery) == 200

    delivery.subscriber.refresh_from_db()
    assert delivery.subscriber.state == "unsubscribed"
    assert state_of(delivery) == "accepted"


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("kind", ["delivered", "hard", "complained"])
def test_a_report_about_a_mail_that_is_not_ours_is_kept_and_harmless(client, delivery, provider, kind):
    assert post(client, provider, PROVIDERS[provider](kind, "f" * 32)).status_code == 200

    event = DeliveryEvent.objects.get()
    assert (event.delivery, event.mail) == (None, None)
    assert (state_of(delivery), suppressions()) == ("accepted", [])


@pytest.mark.parametrize("provider", PROVIDERS)
def test_without_the_secret_nothing_is_believed(client, delivery, provider):
    body = PROVIDERS[provider]("hard", messages.opaque_id(delivery))

    wrong = [
        post(client, provider, body, headers).status_code
        for headers in ({}, {"Authorization": "Basic d3Jvbmc6d3Jvbmc="})
    ]

    # Amazon sends the password only when it was asked for it.
    assert wrong == [401 if provider == "amazon_ses" else 400, 400]
    assert not DeliveryEvent.objects.exists()


def test_a_wrong_signature_is_not_believed_even_with_the_secret(client, delivery):
    body = mailgun("hard", messages.opaque_id(delivery))
    body["signature"]["signature"] = "0" * 64

    assert post(client, "mailgun", body).status_code == 400
    assert not DeliveryEvent.objects.exists()


@pytest.mark.parametrize("metadata", ["[]", '"id"', '{"id": null}', '{"id": ["x"]}', "{}"])
def test_metadata_of_another_shape_are_nobodys(client, delivery, metadata):
    body = brevo("hard", "") | {"X-Mailin-custom": metadata}

    assert post(client, "brevo", body).status_code == 200
    assert (state_of(delivery), suppressions()) == ("accepted", [])
