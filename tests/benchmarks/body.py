"""A digest's text and HTML joined out of cards, beside its templates rendered and inlined for each reader."""

import random
import sys
import time
from importlib.metadata import version

import django
from django.core.management import call_command

from tests.benchmarks.measure import Figure, in_turns, one_core, report

MAILS = {"small": 1000, "full": 2000}


def main(size: str) -> None:
    one_core()
    django.setup()
    call_command("migrate", verbosity=0)

    from newsletter import bodies, rendering  # noqa: PLC0415 - models exist after setup()
    from newsletter.models import Delivery  # noqa: PLC0415
    from subscribers import emails  # noqa: PLC0415
    from tests.benchmarks import morning  # noqa: PLC0415

    draw = random.Random(1)
    papers = morning.make_papers(draw)
    readers = morning.make_readers(MAILS[size])
    morning.make_deliveries(morning.make_edition(papers), readers, morning.Picker(draw, papers))
    deliveries = list(Delivery.objects.select_related("subscriber", "edition", "picks"))
    of = rendering.material(deliveries)
    digests = [rendering.digest(delivery, of) for delivery in deliveries]

    def joined(_: int) -> None:
        # What an earlier round made is made again: an edition's first mail pays for its cards.
        for made in vars(bodies).values():
            if hasattr(made, "cache_clear"):
                made.cache_clear()
        for digest in digests:
            for body in bodies.bodies(digest, of.version):
                str(body)

    def whole(number: int) -> None:
        for digest in digests[number::10]:
            footer = (*digest.checked, digest.why_you_get_this)
            context = emails.frame(digest.subject, digest.preheader, links=digest.links, footer=footer)
            emails.render("emails/digest", context | {"digest": digest, "is_sample": digest.is_sample})

    seconds, tenth = in_turns(joined, whole, clock=time.process_time)
    report(
        Figure(
            name="body",
            size=f"{len(digests)} digests of 10 papers",
            peer="the templates rendered and inlined for each",
            peer_version=f"Django {django.__version__}, css-inline {version('css-inline')}",
            ratio=10 * tenth / seconds,
            seconds=seconds,
            peer_seconds=10 * tenth,
        )
    )


if __name__ == "__main__":
    main(sys.argv[1])
