"""Whatever is due now: one function per stage, for ``manage.py tick`` and for Celery's beat alike.

Each takes the moment by which is decided what is due; leases, retries and the times in rows go by
the real clock. Each may run at any time, any number of times, and beside another of its kind.
"""

import datetime as dt
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice

from django.conf import settings
from django.db import transaction
from django.db.models import Count, Exists, OuterRef
from django.utils import timezone

from newsletter import alerts, chunks, editions, events, health, lines, proofs, schedule, sending
from newsletter.models import Delivery, Edition
from newsletter.planning import Planned, is_under_way, plan
from papers import archive, vectors
from papers.ingest import due_dates
from papers.ingest import ingest as ingest_list
from papers.models import IngestRun
from papers.sources import polled
from papers.upkeep import upkeep
from subscribers import emails
from subscribers.interests import delete_orphans
from subscribers.models import Attempt, Mail, Subscriber, Token

logger = logging.getLogger(__name__)

# What to do with a chunk that is to be sent: hand its id to a worker, or nothing: send it here.
Queue = Callable[[int], object]
Summary = dict[str, object]

UNCONFIRMED = dt.timedelta(days=7)
ATTEMPTS_KEPT = dt.timedelta(days=2)
TOKENS_KEPT = dt.timedelta(days=30)  # after their end, so that an old link can say that it expired
# Chunks noted for the workers at a time: more than they send in a minute, after which the sweeper
# comes again. With a million digests, a note for every chunk in every minute would cost more than sending.
NOTES = 1000
MAILS_KEPT = dt.timedelta(days=30)  # as long as the link in them works


def tick(now: dt.datetime) -> dict[str, object]:
    """Run every stage in turn; one that fails is logged, stands as {"error": …}, and stops no other."""
    report: dict[str, object] = {}
    for stage in (ingest, close, deliver, mail, sweep, retention):
        try:
            report[stage.__name__] = stage(now)
        except Exception as error:  # the boundary between stages
            logger.exception("tick: %s failed", stage.__name__)
            report[stage.__name__] = {"error": f"{type(error).__name__}: {error}"}
    _watch(report)
    return report


def _watch(report: Mapping[str, object]) -> None:
    """Look whether the operator is needed; after a good tick, say so to the watch outside."""
    try:
        health.beat(health.TICK, timezone.now())
        alerts.watch(timezone.now())
    except Exception:  # the boundary, as above
        logger.exception("tick: nobody watched")
        return
    if not any(isinstance(said, dict) and "error" in said for said in report.values()):
        alerts.call_heartbeat_url()


# Stages -----------------------------------------------------------------------------------------


def ingest(now: dt.datetime) -> list[Summary]:
    """Fetch what is due of every source, then news of known papers. A failure leaves its source for the next tick."""
    runs = []
    for source in polled():
        for date in due_dates(source, now):
            run = ingest_list(source, date, now=timezone.now())
            runs.append(run)
            if run.status == IngestRun.Status.FAILED:
                break
    runs += upkeep(timezone.now())
    vectors.encode_missing()
    archive.index_missing()  # after an upgrade by which words are folded otherwise, for one
    return [
        {
            "source": run.source,
            "kind": run.kind,
            "date": f"{run.list_date}",
            "status": run.status,
            "new": run.new,
            "listed": run.listed,
            "error": run.error,
        }
        for run in runs
    ]


def close(now: dt.datetime) -> Summary | None:
    """Close the newest edition whose time has come; None where it is closed. Older ones stay unclosed."""
    date = schedule.edition_date(now, settings.EDITION_CLOSES_AT)
    newest = editions.newest_closed()
    if newest and newest.date >= date:
        return None
    edition = editions.close(date, max(now, timezone.now()))
    return {"edition": f"{edition.date}", "papers": edition.new_count}


def deliver(now: dt.datetime, queue: Queue | None = None) -> list[Summary]:
    """Plan the newest edition and send what is due of it, here or by ``queue``, where nobody else plans it now."""
    edition = editions.newest_closed()
    if edition is None or (queue and is_under_way(edition)):
        return []
    return [send_edition(edition, now, queue=queue, is_full=False).as_json()]


def mail(now: dt.datetime) -> Summary:  # noqa: ARG001 - service mails go by the real clock alone
    """Send the service mails that are owed, and the proofs that operators asked for."""
    with lines.service() as hand_over:
        sent = emails.send_due(timezone.now(), hand_over)
        return {**sent, **proofs.send_due(timezone.now(), hand_over)}


def sweep(now: dt.datetime, queue: Queue | None = None) -> Summary:  # noqa: ARG001 - as above
    """Take up what workers left behind, and the events that came before a worker's own commit."""
    adopted = events.adopt(timezone.now())
    chunk_ids = chunks.sweep(timezone.now())
    return {"chunks": len(chunk_ids), "events": adopted, **_send_chunks(chunk_ids, queue)}


def retention(now: dt.datetime) -> Summary:
    """Forget what is not needed any more."""
    now = timezone.now()
    final = Mail.objects.exclude(state__in=[Mail.State.PENDING, Mail.State.SENDING])
    return {
        "readers": _forget_unconfirmed(now),
        "interests": delete_orphans(),
        "tokens": Token.objects.filter(expires_at__lt=now - TOKENS_KEPT).delete()[0],
        "attempts": Attempt.objects.filter(hour__lt=now - ATTEMPTS_KEPT).delete()[0],
        "mails": final.filter(created_at__lt=now - MAILS_KEPT).delete()[0],
    }


def _forget_unconfirmed(now: dt.datetime) -> int:
    """Delete the addresses that never confirmed; one that asked again lately has its week again."""
    since = now - UNCONFIRMED
    lately = Mail.objects.filter(subscriber=OuterRef("pk"), created_at__gte=since)
    unconfirmed = Subscriber.objects.filter(state=Subscriber.State.PENDING, confirmed_at=None, created_at__lt=since)
    return unconfirmed.filter(~Exists(lately)).delete()[1].get("subscribers.Subscriber", 0)


# One edition ------------------------------------------------------------------------------------


@dataclass(slots=True)
class Report:
    """What a run of ``send_edition`` did, and what it leaves: ``retry`` and ``pending`` have no outcome yet."""

    edition: dt.date | None = None
    sent: int = 0
    failed: int = 0
    unknown: int = 0
    retry: int = 0
    pending: int = 0
    skipped: Counter[str] = field(default_factory=Counter)

    @property
    def due(self) -> int:
        return self.sent + self.skipped.total() + self.failed + self.unknown + self.retry + self.pending

    @property
    def is_complete(self) -> bool:
        return not self.retry and not self.pending

    def as_json(self) -> Summary:
        return {
            "edition": f"{self.edition}" if self.edition else None,
            "due": self.due,
            "sent": self.sent,
            "skipped": dict(self.skipped),
            "failed": self.failed,
            "unknown": self.unknown,
            "retry": self.retry,
            "pending": self.pending,
        }


def send_edition(
    edition: Edition, now: dt.datetime, *, queue: Queue | None = None, is_dry_run: bool = False, is_full: bool = True
) -> Report:
    """Plan an edition for who is due at ``now`` and send its chunks; a dry run plans, counts and takes it back.

    ``is_full`` as for ``plan``.
    """
    if is_dry_run:
        with transaction.atomic():
            report = _report(edition, plan(edition, now), Counter())
            transaction.set_rollback(True)
        return report
    if queue:
        # The workers begin while others are planned; what they do not get to, the sweeper notes again.
        planned = plan(edition, now, is_full=is_full, note=_first(NOTES, queue))
        return _report(edition, planned, Counter())
    planned = plan(edition, now, is_full=is_full)
    return _report(edition, planned, _send_chunks(chunks.sweep(timezone.now()), None))


def _first(number: int, queue: Queue) -> Queue:
    """Return a queue that takes so many chunks, and no more."""
    left = iter(range(number))
    return lambda chunk_id: queue(chunk_id) if next(left, None) is not None else None


def _send_chunks(chunk_ids: Iterable[int], queue: Queue | None) -> Counter[str]:
    """Send the chunks, or queue them; a provider that refuses everybody is not asked chunk by chunk."""
    counts: Counter[str] = Counter()
    for chunk_id in islice(chunk_ids, NOTES) if queue else chunk_ids:
        if queue:
            queue(chunk_id)
        elif not counts["provider_fault"] and not counts["provider_paused"]:
            counts.update(sending.deliver_chunk(chunk_id, timezone.now()))
    return +counts


def _report(edition: Edition, planned: Planned, counts: Counter[str]) -> Report:
    rows = Delivery.objects.filter(edition=edition, state__in=[*Delivery.OPEN, Delivery.State.SENDING])
    left = dict(rows.order_by().values_list("state").annotate(Count("pk")))
    retry = left.pop(Delivery.State.RETRY, 0)
    prefix = "skipped:"
    skipped = {key.removeprefix(prefix): n for key, n in counts.items() if key.startswith(prefix)}
    return Report(
        edition=edition.date,
        sent=counts["sent"],
        failed=counts["failed"] + planned.failed,
        unknown=counts["unknown"],
        retry=retry,
        pending=sum(left.values()),
        skipped=planned.skipped + Counter(skipped),
    )
