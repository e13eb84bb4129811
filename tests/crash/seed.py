"""``python -m tests.crash.seed COUNT``: a closed edition, and so many readers who have not confirmed yet."""

import datetime as dt
import sys

import django
from django.core.management import call_command


def main(count: int) -> None:
    django.setup()
    call_command("migrate", verbosity=0)
    from subscribers.interests import follow  # noqa: PLC0415 - models are there only now
    from subscribers.models import Follow, Subscriber  # noqa: PLC0415
    from tests.factories import make_edition, make_paper, make_subscriber  # noqa: PLC0415

    make_edition(dt.datetime.now(dt.UTC).date(), papers=tuple(make_paper(title=f"Agents, part {n}") for n in range(5)))
    interest = follow(make_subscriber(email="first@example.org", state="pending"), "agents").interest
    readers = Subscriber.objects.bulk_create(Subscriber(email=f"r{n}@example.org", paper_count=3) for n in range(count))
    Follow.objects.bulk_create(Follow(subscriber=reader, interest=interest, wording="agents") for reader in readers)


if __name__ == "__main__":
    main(int(sys.argv[1]))
