"""What Celery adds to a mail: a task through Redis for each chunk of 500, beside the mails of the chunk."""

import secrets
import sys
import threading
import time
from dataclasses import dataclass
from statistics import median
from typing import Any

import celery as celery_package
import redis
from celery import Celery
from celery.contrib.testing.worker import start_worker

from tests.benchmarks.measure import ROUNDS, one_core, report
from tests.conftest import REDIS_URL

TASKS = {"small": 200, "full": 2000}
CHUNK = 500
PATIENCE_S = 120


@dataclass(frozen=True, slots=True)
class Figure:
    """``cpu_us`` is for one mail; 2 % of what the mail itself costs is the most it may be (``delivery``)."""

    name: str
    size: str
    peer: str
    peer_version: str
    cpu_us: float
    task_cpu_us: float


def main(size: str) -> None:
    one_core()
    prefix = f"paperboy-bench-{secrets.token_hex(4)}:"
    app = Celery(broker=REDIS_URL, set_as_current=False)
    app.conf.broker_transport_options = {"global_keyprefix": prefix}
    app.conf.update(task_acks_late=True, task_reject_on_worker_lost=True, worker_prefetch_multiplier=1)
    done = threading.Semaphore(0)

    @app.task(name="work", ignore_result=True)
    def work(_edition: int, _chunk: int) -> None:
        done.release()

    try:
        with start_worker(app, pool="solo", perform_ping_check=False, shutdown_timeout=30):
            costs = [a_round(work, done, TASKS[size]) for _ in range(ROUNDS)]
    finally:
        with redis.Redis.from_url(REDIS_URL) as broker:
            for key in broker.scan_iter(match=f"{prefix}*"):
                broker.delete(key)
    cost = median(costs)
    report(
        Figure(
            name="task",
            size=f"{TASKS[size]} tasks, chunks of {CHUNK}",
            peer="Celery",
            peer_version=celery_package.__version__,
            cpu_us=1e6 * cost / CHUNK,
            task_cpu_us=1e6 * cost,
        )
    )


def a_round(work: "celery_package.Task[Any, Any]", done: threading.Semaphore, number: int) -> float:
    """Return the seconds of CPU of one task, published and worked on in this process."""
    started = time.process_time()
    for chunk in range(number):
        work.delay(1, chunk)
    for _ in range(number):
        if not done.acquire(timeout=PATIENCE_S):
            raise RuntimeError("a task was not worked on")
    return (time.process_time() - started) / number


if __name__ == "__main__":
    main(sys.argv[1])
