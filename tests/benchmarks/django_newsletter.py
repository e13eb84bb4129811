# mypy: ignore-errors
# ruff: noqa: PLC0415 - its models exist after setup(), and the newsletter is not ours
"""django-newsletter on a sink, run by the peers' Python: a line of numbers for every line of input.

It gets a PostgreSQL database, as ours does, and a letter of ten articles as long as the cards of a
digest. Its own submit() is what is measured.
"""

import json
import sys
import time
import types

import django
import environ
from django.conf import settings
from django.core.management import call_command
from django.utils import timezone

ARTICLES = 10
TEXT = "A summary of the usual length, which says in some sentences what the paper is about and what is new. " * 3


def stand_in_for_thumbnails() -> None:
    """Give it Django's own image field: it asks for a package of thumbnails, and no article has a picture."""
    from django.db.models import ImageField

    fields = types.ModuleType("sorl.thumbnail.fields")
    fields.ImageField = ImageField
    thumbnail = types.ModuleType("sorl.thumbnail")
    thumbnail.fields = fields
    sorl = types.ModuleType("sorl")
    sorl.thumbnail = thumbnail
    sys.modules |= {module.__name__: module for module in (sorl, thumbnail, fields)}


def configure(port: int, database: str) -> None:
    settings.configure(
        SECRET_KEY="only-for-a-benchmark",
        INSTALLED_APPS=[
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.sites",
            "newsletter",
        ],
        DATABASES={"default": environ.Env.db_url_config(database)},
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
        ROOT_URLCONF="newsletter.urls",
        SITE_ID=1,
        USE_TZ=True,
        EMAIL_HOST="127.0.0.1",
        EMAIL_PORT=port,
        NEWSLETTER_THUMBNAIL="sorl-thumbnail",
        DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    )
    stand_in_for_thumbnails()
    django.setup()
    call_command("migrate", verbosity=0)


def letter(readers: int):
    from django.contrib.sites.models import Site

    from newsletter.models import Article, Message, Newsletter, Subscription

    paper = Newsletter.objects.create(title="Paper", slug="paper", email="digest@example.org", sender="Paper")
    paper.site.set([Site.objects.get_current()])
    message = Message.objects.create(title="Today's papers", slug="today", newsletter=paper)
    for number in range(ARTICLES):
        Article.objects.create(
            title=f"A title of the usual length, which says what the paper is about {number}",
            text=TEXT,
            url="https://arxiv.org/abs/2607.00001",
            post=message,
            sortorder=number,
        )
    for number in range(readers):
        Subscription.objects.create(
            newsletter=paper, email_field=f"reader{number}@example.org", name_field=f"Reader {number}", subscribed=True
        )
    return message


def submit(message) -> tuple[float, float]:
    from newsletter.models import Submission

    submission = Submission.from_message(message)
    submission.publish_date = timezone.now()
    submission.save()
    cpu, wall = time.process_time(), time.perf_counter()
    submission.submit()
    return time.process_time() - cpu, time.perf_counter() - wall


def main(port: int, readers: int, database: str) -> None:
    configure(port, database)
    message = letter(readers)
    sys.stdout.write(json.dumps({"ready": readers}) + "\n")
    sys.stdout.flush()
    for _ in sys.stdin:
        cpu, wall = submit(message)
        sys.stdout.write(json.dumps({"cpu": cpu / readers, "wall": wall / readers}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
