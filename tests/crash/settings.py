"""The settings of the processes under fire: an instance's own, with its waits made short."""

import os
from pathlib import Path
from typing import Any

from celery.signals import after_task_publish

from newsletter.settings import *  # noqa: F403
from newsletter.settings import ANYMAIL, VAR_DIR

CHUNK_SIZE = int(os.environ["CRASH_CHUNK_SIZE"])
CHUNK_LEASE_S = int(os.environ["CRASH_LEASE_S"])
# A provider that hangs must be given up before the lease ends.
EMAIL_TIMEOUT = CHUNK_LEASE_S // 2
ANYMAIL = ANYMAIL | {"REQUESTS_TIMEOUT": EMAIL_TIMEOUT}

PROVIDER_PAUSE_S = KEY_REPEAT_S = 1

CELERY_BEAT_SCHEDULE = {
    stage: {"task": f"newsletter.tasks.{stage}", "schedule": 1.0, "options": {"expires": 10}}
    for stage in ("deliver", "sweep")
}
CELERY_BEAT_MAX_LOOP_INTERVAL = 1

# While this file is there, every message of Celery's is put into its queue ten times.
REPEAT = Path(VAR_DIR, "repeat")
REPEATS = 10


@after_task_publish.connect(dispatch_uid="crash_repeat")
def repeat(body: Any, headers: Any, exchange: str, routing_key: str, **_: Any) -> None:
    """Publish a message again, below Celery, which therefore does not tell us of these."""
    from newsletter.celery import app  # noqa: PLC0415 - which reads these settings

    if REPEAT.exists():
        with app.producer_pool.acquire(block=True) as producer:
            for _time in range(REPEATS - 1):
                producer.publish(body, headers=headers, exchange=exchange, routing_key=routing_key, serializer="json")
