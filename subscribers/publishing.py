"""Tell a worker about a new row, without making the request that wrote it wait for the broker.

The row is the outbox: a note that is lost here only means that the next ``tick`` finds the row.
"""

import contextlib
import logging
import queue
import threading

from celery import current_app
from django.conf import settings
from kombu.exceptions import OperationalError

logger = logging.getLogger(__name__)

# One thread per process and a bounded queue: with a thread for each note, a Redis that accepts
# connections and never answers would fill the process with waiting threads.
_notes: queue.Queue[tuple[str, int]] = queue.Queue(maxsize=1000)
_starting = threading.Lock()
_publisher: threading.Thread | None = None


def publish(task: str, row_id: int) -> None:
    """Have ``task`` called with ``row_id`` by a worker soon; returns at once, whatever the broker does.

    Without REDIS_URL there is no worker, and nothing is done.
    """
    if not settings.REDIS_URL:
        return
    try:
        _notes.put_nowait((task, row_id))
    except queue.Full:
        logger.warning("The broker does not keep up, %s(%s) waits for the next tick.", task, row_id)
    _start()


def unpublished() -> int:
    """Return how many notes still wait for the broker."""
    return _notes.unfinished_tasks


def _start() -> None:
    """Start the thread, also after a fork, which leaves threads behind."""
    global _publisher  # noqa: PLW0603 - one per process is what it is for
    with _starting:
        if _publisher is None or not _publisher.is_alive():
            _publisher = threading.Thread(target=_work, name="publisher", daemon=True)
            _publisher.start()


def _work() -> None:
    while True:
        task, row_id = _notes.get()
        try:
            _send(task, row_id)
        except OperationalError as error:
            # The others would wait as long for nothing, each in its turn.
            logger.warning("The broker is away, %s notes wait for the next tick: %s", 1 + _drop_all(), error)
        finally:
            _notes.task_done()


def _drop_all() -> int:
    """Forget the notes that wait; return how many they were."""
    dropped = 0
    with contextlib.suppress(queue.Empty):
        while True:
            _notes.get_nowait()
            _notes.task_done()
            dropped += 1
    return dropped


def _send(task: str, row_id: int) -> None:
    # Bounded here and not in the settings, where a worker's blocking read would be cut off too.
    patience = {**current_app.conf.broker_transport_options, "max_retries": 1, "interval_start": 0, "socket_timeout": 5}
    with current_app.connection_for_write(url=settings.REDIS_URL, transport_options=patience) as connection:
        current_app.send_task(task, args=[row_id], connection=connection)
