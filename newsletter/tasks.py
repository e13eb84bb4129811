"""Celery's side of the stages: tasks take ids and call the functions that the commands call."""

import logging
import mmap
from typing import Any

from celery import shared_task
from celery.signals import worker_shutting_down
from django.conf import settings
from django.utils import timezone
from kombu.exceptions import OperationalError

from newsletter import alerts, health, lines, sending
from newsletter import tick as stages
from subscribers import emails

logger = logging.getLogger(__name__)

# Workers are forked after this module is read, so they share this byte with their parent. A
# multiprocessing.Event has a lock, which a child that is killed while it looks would keep for ever.
_stopping = mmap.mmap(-1, 1)

# A note that waits longer is written again by the sweeper, which looks every minute.
NOTE_EXPIRES_S = 120


@worker_shutting_down.connect
def stop_after_this_message(**_: Any) -> None:
    """Let the children end after the message at hand; the rest of the chunk is for the next worker."""
    _stopping[0] = 1


def is_stopping() -> bool:
    return bool(_stopping[0])


@shared_task
def heartbeat(name: str) -> None:
    health.beat(name, timezone.now())


@shared_task
def watch() -> None:
    """Look whether the operator is needed. That this ran, on a worker that beat reached, is Celery's good tick."""
    alerts.watch(timezone.now())
    alerts.call_heartbeat_url()


@shared_task
def ingest() -> None:
    stages.ingest(timezone.now())


@shared_task
def close() -> None:
    stages.close(timezone.now())


@shared_task
def deliver() -> None:
    stages.deliver(timezone.now(), queue=_queue())


@shared_task
def mail() -> None:
    stages.mail(timezone.now())


@shared_task
def sweep() -> None:
    stages.sweep(timezone.now(), queue=_queue())


@shared_task
def retention() -> None:
    stages.retention(timezone.now())


@shared_task
def deliver_chunk(chunk_id: int) -> None:
    sending.deliver_chunk(chunk_id, timezone.now(), should_stop=is_stopping)


@shared_task
def send_mail(mail_id: int) -> None:
    with lines.service() as hand_over:
        emails.send(mail_id, timezone.now(), hand_over)


def _queue() -> stages.Queue | None:
    return _note if settings.REDIS_URL else None


def _note(chunk_id: int) -> None:
    """Tell a worker about a chunk; when the broker is away, the sweeper does so later."""
    try:
        deliver_chunk.apply_async(args=(chunk_id,), expires=NOTE_EXPIRES_S)
    except OperationalError as error:
        logger.warning("the broker is away, chunk %s waits for the sweeper: %s", chunk_id, error)
