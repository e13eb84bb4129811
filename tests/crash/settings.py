"""The settings of the processes under fire: an instance's own, with its waits made short."""

import contextlib
import os
from pathlib import Path
from typing import Any

from celery.signals import after_task_publish, worker_process_init

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


# Places in a unit's way: its rows are marked, and nobody looked at the clock yet; the provider answered,
# and nothing is written down. A file of such a name holds a signal for the first child that comes there.
MARKED, ANSWERED = "marked", "answered"


@worker_process_init.connect(dispatch_uid="crash_traps")
def set_traps(**_: Any) -> None:
    from newsletter import sending  # noqa: PLC0415 - which reads these settings

    hand_over = sending._Worker._hand_over

    def between_traps(self: Any, *unit: Any) -> Any:
        _spring(MARKED)
        said = hand_over(self, *unit)
        _spring(ANSWERED)
        return said

    sending._Worker._hand_over = between_traps  # type: ignore[assignment, method-assign]


def _spring(place: str) -> None:
    """Give ourselves the signal that waits here, and leave our id in its place; one process alone gets it."""
    trap, mine = Path(VAR_DIR, place), Path(VAR_DIR, f"{place}.{os.getpid()}")
    with contextlib.suppress(FileNotFoundError):
        trap.rename(mine)
        os.kill(os.getpid(), int(mine.read_text()))
