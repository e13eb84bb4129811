"""What providers really post about a mail, in the shapes of their documentation, signed as they sign it."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

THEIRS = "0f3a9d6c-7f1e-4a53-9a53-6b7f0e8f2d11"
POSTALS = 233843  # Postal's ids are numbers
KEY = "made-up"
POSTAL_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
SENDGRID_KEY = ec.generate_private_key(ec.SECP256R1())
ADA = "ada@example.org"
AT = 1782892800  # 2026-07-01 08:00 UTC


def public(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    """Return the public key as an operator copies it from the provider's page: base64 alone."""
    form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    return base64.b64encode(key.public_key().public_bytes(*form)).decode()


# What Anymail has to know of those that sign whatever they post.
SETTINGS = {
    "WEBHOOK_SECRET": "user:secret",
    "MAILGUN_WEBHOOK_SIGNING_KEY": KEY,
    "MAILERSEND_SIGNING_SECRET": KEY,
    "MANDRILL_WEBHOOK_KEY": KEY,
    "MANDRILL_WEBHOOK_URL": "https://user:secret@papers.example.org/anymail/mandrill/",
    "POSTAL_WEBHOOK_KEY": public(POSTAL_KEY),
    "UNISENDER_GO_API_KEY": KEY,
}


# Reports: ``kind`` is delivered, hard, soft, complained or unsubscribed ---------------------------


def postmark(kind: str, our_id: str) -> dict[str, Any]:
    """https://postmarkapp.com/developer/webhooks/webhooks-overview."""
    body = {"ServerID": 23, "MessageStream": "broadcast", "MessageID": THEIRS, "Tag": "", "Metadata": {"id": our_id}}
    if kind == "delivered":
        at = {"DeliveredAt": "2026-07-01T08:00:00Z", "Details": "Test delivery webhook details"}
        return {**body, "RecordType": "Delivery", "Recipient": ADA, **at}
    if kind == "unsubscribed":
        suppressed: dict[str, Any] = {
            "SuppressSending": True,
            "SuppressionReason": "ManualSuppression",
            "Origin": "Recipient",
        }
        at = {"Recipient": ADA, "ChangedAt": "2026-07-01T08:00:00Z"}
        return {**body, "RecordType": "SubscriptionChange", **at, **suppressed}
    codes = {"hard": ("HardBounce", 1), "soft": ("SoftBounce", 4096), "complained": ("SpamComplaint", 512)}
    name, code = codes[kind]
    record = "SpamComplaint" if kind == "complained" else "Bounce"
    said = {"Description": "A report.", "Details": "action: failed", "BouncedAt": "2026-07-01T08:00:00Z"}
    at = {"Email": ADA, "From": "digest@papers.example.org"}
    about = {"RecordType": record, "ID": 692560173, "Type": name, "TypeCode": code, "Inactive": kind == "hard"}
    return {**body, **about, **said, **at}


def resend(kind: str, our_id: str) -> dict[str, Any]:
    """https://resend.com/docs/dashboard/webhooks/event-types."""
    events = {"delivered": "delivered", "hard": "bounced", "soft": "bounced", "complained": "complained"}
    data: dict[str, Any] = {
        "created_at": "2026-07-01T07:59:00.000Z",
        "email_id": THEIRS,
        "from": "Paperboy <digest@papers.example.org>",
        "to": [ADA],
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
    body = {"event": events[kind], "email": ADA, "id": 26224, "message-id": f"<{THEIRS}@smtp-relay>"}
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
    signature = hmac.new(KEY.encode(), f"{timestamp}{token}".encode(), hashlib.sha256).hexdigest()
    status = {"code": 550, "message": "5.1.1 The email account does not exist.", "attempt-no": 1}
    about = {"message": {"headers": {"to": ADA, "message-id": f"{THEIRS}@papers.example.org"}}}
    data = {
        **events[kind],
        **about,
        "recipient": ADA,
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
    body = {"email": ADA, "timestamp": 1782892800, "smtp-id": f"<{THEIRS}@ismtpd>", "anymail_id": THEIRS}
    return [
        {**body, **events[kind], "sg_event_id": f"rbtnWrG1DVDGGGFHFyun0A{kind}", "sg_message_id": "14c5", "id": our_id}
    ]


def amazon_ses(kind: str, our_id: str) -> dict[str, Any]:
    """https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-examples.html, within SNS."""
    person = {"emailAddress": ADA}
    at = {"timestamp": "2026-07-01T08:00:00.000Z", "feedbackId": "0102017d-made-up"}
    events: dict[str, dict[str, Any]] = {
        "delivered": {"eventType": "Delivery", "delivery": {**at, "recipients": [ADA]}},
        "hard": {"eventType": "Bounce", "bounce": {**at, "bounceType": "Permanent", "bounceSubType": "General"}},
        "soft": {"eventType": "Bounce", "bounce": {**at, "bounceType": "Transient", "bounceSubType": "MailboxFull"}},
        "complained": {"eventType": "Complaint", "complaint": {**at, "complaintFeedbackType": "abuse"}},
    }
    events["hard"]["bounce"]["bouncedRecipients"] = [{**person, "diagnosticCode": "smtp; 550 5.1.1 no such user"}]
    events["soft"]["bounce"]["bouncedRecipients"] = [person]
    events["complained"]["complaint"]["complainedRecipients"] = [person]
    headers = [{"name": "X-Metadata", "value": json.dumps({"id": our_id})}]
    mail = {"timestamp": "2026-07-01T07:59:00.000Z", "messageId": THEIRS, "destination": [ADA]}
    message = json.dumps({**events[kind], "mail": {**mail, "headersTruncated": False, "headers": headers}})
    topic = {"TopicArn": "arn:aws:sns:us-east-1:123456789012:SES_Events", "Timestamp": "2026-07-01T08:00:01.000Z"}
    return {"Type": "Notification", "MessageId": f"19ba9823-d7f2-53c1-860e-cb10e0d1{kind}", **topic, "Message": message}


def sparkpost(kind: str, our_id: str) -> list[dict[str, Any]]:
    """https://developers.sparkpost.com/api/webhooks."""
    events: dict[str, dict[str, str]] = {
        "delivered": {"type": "delivery"},
        "hard": {"type": "bounce", "bounce_class": "10", "error_code": "550", "raw_reason": "550 5.1.1 user unknown"},
        "soft": {"type": "bounce", "bounce_class": "22", "error_code": "452", "raw_reason": "452 4.2.2 mailbox full"},
        "complained": {"type": "spam_complaint", "fbtype": "abuse"},
        "unsubscribed": {"type": "list_unsubscribe"},
    }
    about = {"event_id": f"9235692769381385{len(kind)}", "transmission_id": THEIRS, "timestamp": f"{AT}"}
    body = {**events[kind], **about, "rcpt_to": ADA, "raw_rcpt_to": ADA, "rcpt_meta": {"id": our_id}}
    return [{"msys": {"unsubscribe_event" if kind == "unsubscribed" else "message_event": body}, "cust": {"id": "1"}}]


def mailjet(kind: str, our_id: str) -> list[dict[str, Any]]:
    """https://dev.mailjet.com/email/guides/webhooks."""
    events: dict[str, dict[str, Any]] = {
        "delivered": {"event": "sent", "smtp_reply": "sent (250 2.0.0 OK)"},
        "hard": {"event": "bounce", "blocked": True, "hard_bounce": True, "error": "user unknown"},
        "soft": {"event": "bounce", "blocked": False, "hard_bounce": False, "error": "quota exceeded"},
        "complained": {"event": "spam", "source": "JMRPP"},
        "unsubscribed": {"event": "unsub", "mj_list_id": 0, "agent": "List-Unsubscribe"},
    }
    about = {"time": AT, "MessageID": 12345678901234567, "mj_campaign_id": 0, "customcampaign": ""}
    return [{**events[kind], **about, "email": ADA, "Payload": json.dumps({"id": our_id})}]


def mandrill(kind: str, our_id: str) -> list[dict[str, Any]]:
    """https://mailchimp.com/developer/transactional/docs/webhooks."""
    events = {
        "delivered": "delivered",
        "hard": "hard_bounce",
        "soft": "soft_bounce",
        "complained": "spam",
        "unsubscribed": "unsub",
    }
    msg = {"ts": AT, "email": ADA, "sender": "digest@papers.example.org", "_id": THEIRS, "metadata": {"id": our_id}}
    bounced = {"bounce_description": "bad_mailbox", "diag": "smtp;550 5.1.1 no such user", "bgtools_code": 10}
    return [{"event": events[kind], "msg": {**msg, **bounced}, "_id": THEIRS, "ts": AT}]


def mailersend(kind: str, our_id: str) -> dict[str, Any]:
    """https://developers.mailersend.com/api/v1/webhooks."""
    events = {
        "delivered": ("delivered", None),
        "hard": ("hard_bounced", "recipient_bounce"),
        "soft": ("soft_bounced", "recipient_bounce"),
        "complained": ("spam_complaint", "spam_complaint"),
        "unsubscribed": ("unsubscribed", "recipient_unsubscribe"),
    }
    name, morph = events[kind]
    email = {"object": "email", "message": {"object": "message", "id": THEIRS}, "recipient": {"email": ADA}}
    data: dict[str, Any] = {"object": "activity", "id": "63fd1c1fcfbe46145d003a7b", "type": name, "email": email}
    data |= {"created_at": "2026-07-01T08:00:00.000000Z", "morph": morph and {"object": morph, "reason": "unknown"}}
    return {"type": f"activity.{name}", "webhook_id": "made-up", "created_at": "2026-07-01T08:00:01Z", "data": data}


def mailtrap(kind: str, our_id: str) -> dict[str, Any]:
    """https://docs.mailtrap.io/email-api-smtp/advanced/webhooks."""
    events: dict[str, dict[str, Any]] = {
        "delivered": {"event": "delivery"},
        "hard": {"event": "bounce", "response": "bounced (550 5.1.1)", "response_code": 550, "bounce_category": "hard"},
        "soft": {"event": "soft bounce", "response_code": 450, "bounce_category": "unavailable"},
        "complained": {"event": "spam"},
        "unsubscribed": {"event": "unsubscribe", "ip": "192.0.2.1"},
    }
    about = {"timestamp": AT, "sending_stream": "bulk", "message_id": THEIRS, "email": ADA}
    return {"events": [{**events[kind], **about, "event_id": f"bede7236-{kind}", "custom_variables": {"id": our_id}}]}


def postal(kind: str, our_id: str) -> dict[str, Any]:
    """https://docs.postalserver.io/developer/webhooks: a 5xx is a HardFail, a bounce comes back as a mail."""
    message = {"id": POSTALS, "token": "zw6psSlgo6ki", "direction": "outgoing", "to": ADA, "tag": None}
    payload: dict[str, Any] = {"message": message, "details": "said", "output": "250 OK", "timestamp": AT + 0.5}
    names = {"delivered": ("MessageSent", "Sent"), "hard": ("MessageDeliveryFailed", "HardFail")}
    names["soft"] = ("MessageDelayed", "SoftFail")
    event, payload["status"] = names[kind]
    return {"event": event, "timestamp": AT + 0.5, "payload": payload, "uuid": f"58e8d7ee-2cd5-4db2-9af3-{kind}"}


def unisender_go(kind: str, our_id: str) -> dict[str, Any]:
    """https://godocs.unisender.ru/web-api-ref#callback-format."""
    events = {
        "delivered": ("delivered", "ok_delivered"),
        "hard": ("hard_bounced", "err_user_unknown"),
        "soft": ("soft_bounced", "err_will_retry"),
        "complained": ("spam", ""),
        "unsubscribed": ("unsubscribed", ""),
    }
    status, said = events[kind]
    about = {"job_id": "1ZymBc-00041N-9X", "metadata": {"id": our_id, "anymail_id": THEIRS}, "email": ADA}
    data = {**about, "status": status, "event_time": "2026-07-01 08:00:00"}
    data |= {"delivery_info": {"delivery_status": said}} if said else {}
    event = {"event_name": "transactional_email_status", "event_data": data}
    return {"auth": "0" * 32, "events_by_user": [{"user_id": 456, "project_id": "1", "events": [event]}]}


PROVIDERS: dict[str, Callable[[str, str], Any]] = {
    **{f.__name__: f for f in (postmark, resend, brevo, mailgun, sendgrid, amazon_ses, sparkpost, mailjet)},
    **{f.__name__: f for f in (mandrill, mailersend, mailtrap, postal, unisender_go)},
}
# Postal tells of no complaints; some tell of no unsubscribing; some try again by themselves after what others call a
# soft bounce.
COMPLAINING = [name for name in PROVIDERS if name != "postal"]
UNSUBSCRIBING = [name for name in COMPLAINING if name not in {"resend", "amazon_ses"}]
TRYING_AGAIN = ["mailgun", "mailtrap", "postal", "unisender_go"]
SOFT = [name for name in PROVIDERS if name not in TRYING_AGAIN]


# Posting them -------------------------------------------------------------------------------------


def address(provider: str) -> str:
    return f"/anymail/{provider}/" if provider == "mandrill" else f"/anymail/{provider}/tracking/"


def signed(provider: str, body: Any) -> tuple[bytes, dict[str, str]]:
    """Return what is posted, JSON or Mandrill's form, and the provider's own headers."""
    raw = json.dumps(body).encode()
    if provider == "mandrill":
        said = f"{SETTINGS['MANDRILL_WEBHOOK_URL']}mandrill_events{raw.decode()}".encode()
        signature = base64.b64encode(hmac.digest(KEY.encode(), said, "sha1")).decode()
        return urlencode({"mandrill_events": raw}).encode(), {"X-Mandrill-Signature": signature}
    if provider == "mailersend":
        return raw, {"Signature": hmac.new(KEY.encode(), raw, "sha256").hexdigest()}
    if provider == "postal":
        signature = base64.b64encode(POSTAL_KEY.sign(raw, padding.PKCS1v15(), hashes.SHA1())).decode()  # noqa: S303
        return raw, {"X-Postal-Signature": signature}
    if provider == "unisender_go":
        blank = b"0" * 32
        return raw.replace(blank, hashlib.md5(raw.replace(blank, KEY.encode())).hexdigest().encode()), {}  # noqa: S324
    if provider == "amazon_ses":
        return raw, {"x-amz-sns-message-type": body["Type"], "x-amz-sns-message-id": body["MessageId"]}
    return raw, {"svix-id": f"msg_{body['type']}"} if provider == "resend" else {}
