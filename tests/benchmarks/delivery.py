"""Mails from rows to a sink and back into rows, beside the loop one would write first and django-newsletter.

All of them keep their rows in PostgreSQL. What readers get is drawn as the planner would choose it
(``morning.Picker``); django-newsletter sends everybody the same letter, and a smaller one, as the figures say.
"""

import json
import random
import resource
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import django
from django.core.mail import EmailMultiAlternatives, get_connection
from django.core.management import call_command
from django.test.utils import override_settings
from django.utils import timezone

from tests.benchmarks.measure import ROUNDS, one_core, report
from tests.benchmarks.run import database
from tests.benchmarks.sinks import Sinks
from tests.conftest import ROOT

MAILS = {"small": 500, "full": 5000}
LASTING = {"small": 0, "full": 100_000}  # mails by which a worker's memory is looked at
PLAIN_SHARE = 10  # the dear ways send a tenth of the mails


@dataclass(frozen=True, slots=True)
class Cost:
    """Microseconds a mail, and its octets as handed over."""

    cpu: float
    wall: float
    octets: float = 0


@dataclass(frozen=True, slots=True)
class Figure:
    """One way beside another: how many times less of the sender's CPU, and of the clock."""

    name: str
    size: str
    peer: str
    peer_version: str
    ratio: float
    wall_ratio: float
    cpu_us: float
    peer_cpu_us: float
    mails_a_second: float
    mail_kb: float
    peer_mail_kb: float


@dataclass(frozen=True, slots=True)
class Memory:
    """The most memory that a worker had by a fifth of its mails, and by the end, in MB."""

    name: str
    size: str
    peer: str
    peer_version: str
    early_mb: float
    late_mb: float


def timed(work: Callable[[], object], mails: int) -> Cost:
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return Cost(1e6 * (time.process_time() - cpu) / mails, 1e6 * (time.perf_counter() - wall) / mails)


def middle(costs: list[Cost]) -> Cost:
    parts = zip(*map(astuple, costs), strict=True)
    return Cost(*map(median, parts))


# The ways -----------------------------------------------------------------------------------------


def deliver(chunks: list[int]) -> None:
    from newsletter import sending  # noqa: PLC0415 - models exist after setup()

    for chunk in chunks:
        counts = sending.deliver_chunk(chunk, timezone.now())
        if set(counts) != {"sent"}:
            raise RuntimeError(f"not all were sent: {counts}")


def start_again() -> None:
    from newsletter.models import Delivery  # noqa: PLC0415

    Delivery.objects.exclude(state="pending").update(
        state="pending", unit="", attempt=0, accepted_at=None, provider_message_id=""
    )


def loop(deliveries: list[Any], edition: Any) -> None:
    """Render, inline, send, create a row; the connection is kept, which many such loops forget."""
    from newsletter import rendering  # noqa: PLC0415
    from newsletter.models import Delivery  # noqa: PLC0415
    from subscribers import emails  # noqa: PLC0415

    of = rendering.material(deliveries)
    with get_connection("django.core.mail.backends.smtp.EmailBackend") as connection:
        for delivery in deliveries:
            digest = rendering.digest(delivery, of)
            footer = (*digest.checked, digest.why_you_get_this)
            context = emails.frame(digest.subject, digest.preheader, links=digest.links, footer=footer)
            text, html = emails.render("emails/digest", context | {"digest": digest, "is_sample": digest.is_sample})
            message = EmailMultiAlternatives(digest.subject, text, to=[delivery.subscriber.email])
            message.attach_alternative(html, "text/html")
            connection.send_messages([message])
            Delivery.objects.create(
                edition=edition,
                subscriber=delivery.subscriber,
                covers_from=edition.date,
                local_date=edition.date,
                state="accepted",
                accepted_at=timezone.now(),
            )
    Delivery.objects.filter(edition=edition).delete()


@contextmanager
def django_newsletter(port: int, mails: int) -> Iterator[Callable[[], Cost]]:
    """Yield what makes it send its letter to so many readers, out of a database of its own."""
    script = Path(__file__).parent / "django_newsletter.py"
    command: list[str | Path] = [ROOT / "var/peers/bin/python", "-I", script, str(port), str(mails)]
    with (
        database("postgresql", Path()) as url,
        subprocess.Popen([*command, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process,
    ):
        asked, answers = process.stdin, process.stdout
        assert asked
        assert answers
        answers.readline()

        def submit() -> Cost:
            asked.write("\n")
            asked.flush()
            said = json.loads(answers.readline())
            return Cost(1e6 * said["cpu"], 1e6 * said["wall"])

        yield submit
        asked.close()


# In turns -----------------------------------------------------------------------------------------


def main(size: str) -> None:
    with Sinks() as sinks:
        one_core()
        django.setup()
        call_command("migrate", verbosity=0)
        from tests.benchmarks import morning  # noqa: PLC0415

        draw = random.Random(1)
        papers = morning.make_papers(draw)
        edition = morning.make_edition(papers)
        chunks = morning.make_deliveries(edition, morning.make_readers(MAILS[size]), morning.Picker(draw, papers))
        costs = measured(size, sinks, chunks, edition)
    tell(size, costs)


def measured(size: str, sinks: Sinks, chunks: list[int], edition: Any) -> dict[str, list[Cost]]:
    """Return the cost of each way in each round; every mail must have reached its sink."""
    from newsletter.models import Delivery  # noqa: PLC0415
    from tests.benchmarks import morning  # noqa: PLC0415

    mails, few = MAILS[size], MAILS[size] // PLAIN_SHARE
    sample = list(Delivery.objects.select_related("subscriber", "edition", "picks").order_by("pk")[:few])
    yesterday = morning.make_edition([], date=edition.date - morning.DAY)
    local = {"EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": sinks.ports["smtp"]}
    smtp = override_settings(EMAIL_BACKEND="newsletter.providers.SmtpBackend", **local)
    api = {"POSTMARK_SERVER_TOKEN": "made-up", "POSTMARK_API_URL": f"http://127.0.0.1:{sinks.ports['http']}/"}
    batch = override_settings(EMAIL_BACKEND="anymail.backends.postmark.EmailBackend", ANYMAIL=api)
    costs: defaultdict[str, list[Cost]] = defaultdict(list)

    def keep(way: str, work: Callable[[], Cost], mails: int) -> None:
        before = sinks.taken()["octets"]
        cost = work()
        costs[way].append(replace(cost, octets=(sinks.taken()["octets"] - before) / mails))

    with django_newsletter(sinks.ports["smtp"], few) as submit:
        for _ in range(ROUNDS):
            with smtp:
                keep("loop", lambda: timed(lambda: loop(sample, yesterday), few), few)
                keep("smtp", lambda: timed(lambda: deliver(chunks), mails), mails)
                start_again()
            with batch:
                keep("batch", lambda: timed(lambda: deliver(chunks), mails), mails)
                start_again()
            keep("django-newsletter", submit, few)
    lasting = LASTING[size] // mails * mails
    with batch:
        watch_memory(chunks, mails, lasting)
    expected = {"smtp": ROUNDS * (2 * few + mails), "http": ROUNDS * mails + lasting}
    taken = sinks.taken()
    if taken != taken | expected:
        raise RuntimeError(f"the sinks took {taken}, not {expected}")
    return costs


def watch_memory(chunks: list[int], mails: int, lasting: int) -> None:
    peaks = []
    for _ in range(lasting // mails):
        deliver(chunks)
        start_again()
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    if peaks:
        early, late = peaks[len(peaks) // 5 - 1], peaks[-1]
        size = f"{lasting} mails in batches"
        report(Memory("worker memory", size, "a fifth of the mails", "same code", early, late))


def tell(size: str, costs: dict[str, list[Cost]]) -> None:
    peers = {
        "loop": ("render, inline, send and create a row for each", f"Django {django.__version__}"),
        "django-newsletter": ("django-newsletter", version_of_peer()),
    }
    for way in ("smtp", "batch"):
        ours = middle(costs[way])
        for name, (peer, peer_version) in peers.items():
            theirs = middle(costs[name])
            figure = Figure(
                name=f"delivery by {way}",
                size=f"{MAILS[size]} mails of 10 papers, chunks of 500",
                peer=peer,
                peer_version=peer_version,
                ratio=theirs.cpu / ours.cpu,
                wall_ratio=theirs.wall / ours.wall,
                cpu_us=ours.cpu,
                peer_cpu_us=theirs.cpu,
                mails_a_second=1e6 / ours.wall,
                mail_kb=ours.octets / 1000,
                peer_mail_kb=theirs.octets / 1000,
            )
            report(figure)


def version_of_peer() -> str:
    [folder] = (ROOT / "var/peers/lib").glob("python*/site-packages/django_newsletter-*.dist-info")
    return folder.name.removeprefix("django_newsletter-").removesuffix(".dist-info")


if __name__ == "__main__":
    main(sys.argv[1])
