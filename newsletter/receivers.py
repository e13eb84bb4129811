"""What the provider reports is handed to the one function that records it."""

from collections.abc import Iterator, Mapping
from typing import Any

from anymail import signals
from django.dispatch import receiver

from newsletter import events

# The reject reasons of an address that cannot receive anything.
FINAL = {"bounced", "invalid"}
# Anymail calls Postmark's and Brevo's soft bounces "bounced" like the hard ones: only the
# provider's own words tell them apart.
PASSING = ("soft", "transient", "temporary", "undetermined")


@receiver(signals.tracking)
def provider_reported(event: signals.AnymailTrackingEvent, esp_name: str, **_: Any) -> None:
    """Translate Anymail's event and record it."""
    events.record(
        events.Event(
            provider=esp_name,
            kind=event.event_type,
            opaque_id=str((event.metadata or {}).get("id", "")),
            provider_message_id=event.message_id or "",
            event_id=event.event_id or "",
            recipient=event.recipient or "",
            reason=event.reject_reason or "",
            detail=" ".join(filter(None, [event.description, event.mta_response])),
            occurred_at=event.timestamp,
            is_permanent=event.reject_reason in FINAL and not _may_pass(event.esp_event),
        )
    )


def _may_pass(raw: object) -> bool:
    """Say whether the provider's own report calls the bounce a soft one."""
    return any(value.lower().startswith(PASSING) for value in _kinds(raw))


def _kinds(raw: object) -> Iterator[str]:
    """Yield the values of all keys that name a type, however deep they stand."""
    if isinstance(raw, Mapping):
        for key, value in raw.items():
            if isinstance(value, str) and str(key).lower().endswith(("type", "event", "severity")):
                yield value
            else:
                yield from _kinds(value)
