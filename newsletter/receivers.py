"""What the provider reports is handed to the one function that records it."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from anymail import signals
from django.dispatch import receiver

from newsletter import events

# The reject reasons of an address that cannot receive anything; SendGrid's bounces have none.
FINAL = {"bounced", "invalid", ""}
# Anymail calls most providers' soft bounces "bounced" like the hard ones: only the provider's own
# words tell them apart.
PASSING = re.compile(r"(?:^|[._ ])(?:soft|transient|temporary|undetermined|blocked|expired)", re.IGNORECASE)
# Reports that Anymail has no word for: Mandrill's of a delivery, Resend's of what it did not send.
WITHOUT_A_WORD = {"delivered": "delivered", "email.failed": "failed", "email.suppressed": "rejected"}
# SparkPost's classes from "soft bounce" to "transient failure": https://support.sparkpost.com/docs/deliverability/bounce-classification-codes
PASSING_CLASSES = {"20", "21", "22", "23", "24", "40", "60", "70"}


@receiver(signals.tracking)
def provider_reported(event: signals.AnymailTrackingEvent, esp_name: str, **_: Any) -> None:
    """Translate Anymail's event and record it."""
    metadata = event.metadata if isinstance(event.metadata, Mapping) else {}
    reason = event.reject_reason or ""
    events.record(
        events.Event(
            provider=esp_name,
            kind=_kind(event),
            opaque_id=str(metadata.get("id", "")),
            provider_message_id=str(event.message_id or ""),  # Postal's is a number
            event_id=str(event.event_id or ""),
            recipient=event.recipient or "",
            reason=reason,
            detail=" ".join(filter(None, [event.description, event.mta_response])),
            occurred_at=event.timestamp,
            is_permanent=_is_permanent(event, reason),
        )
    )


def _kind(event: signals.AnymailTrackingEvent) -> str:
    kind = str(event.event_type)
    if kind == "unknown" and isinstance(raw := event.esp_event, Mapping):
        return WITHOUT_A_WORD.get(raw.get("event") or raw.get("type") or "", kind)
    return kind


def _is_permanent(event: signals.AnymailTrackingEvent, reason: str) -> bool:
    """Say whether the mailbox will take nothing later either."""
    if event.event_type == "failed":
        return ("status", "HardFail") in _leaves(event.esp_event)  # Postal's word for a 5xx
    is_refusal = event.event_type == "bounced" or (event.event_type == "rejected" and reason)
    return bool(is_refusal) and reason in FINAL and not _may_pass(event.esp_event)


def _may_pass(raw: object) -> bool:
    """Say whether the provider's own report calls the bounce a soft one."""
    return any(_is_soft(key, value) for key, value in _leaves(raw))


def _is_soft(key: str, value: object) -> bool:
    if key == "hard_bounce":  # Mailjet's
        return value in (False, "false", 0)
    if key == "bounce_class":
        return str(value) in PASSING_CLASSES
    return key.endswith(("type", "event", "severity")) and isinstance(value, str) and bool(PASSING.search(value))


def _leaves(raw: object) -> Iterator[tuple[str, object]]:
    """Yield the keys, in lower case, and the values that stand in a report, however deep."""
    if isinstance(raw, Mapping):
        for key, value in raw.items():
            if isinstance(value, Mapping):
                yield from _leaves(value)
            else:
                yield str(key).lower(), value
