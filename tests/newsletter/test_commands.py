"""The commands are a contract: what they print, and the status they end with."""

import datetime as dt
import json
import os
import subprocess
import sys
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from newsletter.models import Delivery, Edition
from papers.models import Listing
from subscribers.models import Suppression, hash_address
from tests.conftest import ROOT
from tests.factories import make_digest, make_edition, make_paper, make_subscriber

D = dt.date(2026, 7, 8)
DAY = dt.timedelta(days=1)
SEVEN = "2026-07-08T07:00"


def run(capsys, *args: str) -> dict[str, Any]:
    capsys.readouterr()
    call_command(*args, "--json")
    return dict(json.loads(capsys.readouterr().out))


def edition_of(*titles: str, date: dt.date = D, **fields) -> Edition:
    return make_edition(date, papers=tuple(make_paper(title=title) for title in titles), **fields)


# close_edition ----------------------------------------------------------------------------------


@pytest.mark.django_db
def test_close_edition_reports_the_new_papers(capsys):
    make_edition(D - DAY)
    make_paper(list_date=D - DAY)
    Listing.objects.update(stored_at=timezone.now())

    for _ in range(2):
        assert run(capsys, "close_edition", "--date", "2026-07-08") == {"edition": "2026-07-08", "papers": 1}


@pytest.mark.django_db
def test_close_edition_closes_todays_by_default(capsys):
    assert run(capsys, "close_edition")["edition"] == f"{timezone.now().date()}"


@pytest.mark.django_db
@pytest.mark.parametrize("date", ["2999-01-01", "2026-07-01"])
def test_close_edition_refuses_the_future_and_the_overtaken(date):
    make_edition(D)

    with pytest.raises(CommandError, match=r"not due yet|cannot be closed any more"):
        call_command("close_edition", "--date", date)
    assert Edition.objects.count() == 1


# deliver ----------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_deliver_sends_to_everybody_who_is_due_and_a_second_run_sends_nothing(capsys, mailoutbox):
    edition_of("Robots")
    reader, gone = make_subscriber(), make_subscriber()
    make_subscriber(interests=("towels",), wants_trending_if_no_match=False)
    Suppression.objects.create(address_hash=hash_address(gone.email), reason="bounce")

    first = run(capsys, "deliver", "--now", SEVEN)
    second = run(capsys, "deliver", "--now", SEVEN)

    nothing = {"edition": "2026-07-08", "due": 0, "sent": 0, "skipped": {}}
    nothing |= {"failed": 0, "unknown": 0, "retry": 0, "pending": 0}
    assert first == nothing | {"due": 3, "sent": 1, "skipped": {"suppressed": 1, "no_match": 1}}
    assert second == nothing
    assert [message.to for message in mailoutbox] == [[reader.email]]


@pytest.mark.django_db
def test_deliver_takes_up_what_an_earlier_run_left(capsys, mailoutbox):
    delivery = make_digest(edition_of("Robots"))

    assert run(capsys, "deliver", "--now", SEVEN)["sent"] == 1
    assert len(mailoutbox) == 1
    delivery.refresh_from_db()
    assert delivery.state == "accepted"


@pytest.mark.django_db
def test_now_decides_who_is_due(capsys):
    make_digest(edition_of("Towels", date=D - DAY), make_subscriber(), state="accepted", accepted_at=timezone.now())
    edition_of("Robots")

    assert run(capsys, "deliver", "--now", "2026-07-08T06:59")["due"] == 0
    assert run(capsys, "deliver", "--now", "2026-07-08T09:00+02:00")["sent"] == 1
    assert Delivery.objects.get(edition__date=D).local_date == D


@pytest.mark.django_db
def test_a_dry_run_counts_and_writes_nothing(capsys, mailoutbox):
    edition_of("Robots")
    make_subscriber()

    report = run(capsys, "deliver", "--now", SEVEN, "--dry-run")

    assert (report["due"], report["pending"], report["sent"]) == (1, 1, 0)
    assert not Delivery.objects.exists()
    assert Edition.objects.get().state == "closed"
    assert mailoutbox == []


@pytest.mark.django_db
def test_deliver_fails_while_somebody_has_no_outcome(capsys, settings):
    settings.EMAIL_BACKEND = "anymail.backends.postmark.EmailBackend"
    edition_of("Robots")
    for _ in range(3):
        make_subscriber()

    with pytest.raises(CommandError, match=r"3 due readers have no outcome yet.*POSTMARK_SERVER_TOKEN"):
        call_command("deliver", "--now", SEVEN, "--json")

    report = json.loads(capsys.readouterr().out)
    # All three are in one call of Postmark's batch API.
    assert (report["due"], report["retry"], report["pending"]) == (3, 3, 0)


@pytest.mark.django_db
def test_a_paused_edition_is_planned_and_not_sent(capsys, mailoutbox):
    edition_of("Robots", state="paused")
    make_subscriber()

    with pytest.raises(CommandError, match="paused: resume it"):
        call_command("deliver", "--now", SEVEN)
    assert Delivery.objects.get().state == "pending"
    assert mailoutbox == []


@pytest.mark.django_db
def test_deliver_of_an_older_edition_sends_nothing_and_says_so(capsys, mailoutbox):
    edition_of("Towels", date=D - DAY)
    edition_of("Robots")
    make_subscriber()

    call_command("deliver", "--date", "2026-07-07", "--json")

    captured = capsys.readouterr()
    assert json.loads(captured.out)["due"] == 0
    assert "Nothing is sent: the edition of 2026-07-08 is closed" in captured.err
    assert mailoutbox == []


@pytest.mark.django_db
def test_deliver_without_an_edition_reports_none(capsys):
    assert run(capsys, "deliver")["edition"] is None


@pytest.mark.django_db
def test_deliver_of_an_edition_that_is_not_closed_says_what_to_do():
    with pytest.raises(CommandError, match="close_edition --date 2026-07-08"):
        call_command("deliver", "--date", "2026-07-08")


# show_digest ------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize("form", ["text", "html", "eml"])
def test_show_digest_shows_what_a_reader_would_get_and_writes_nothing(capsys, mailoutbox, form):
    edition_of("Robots that fold", "Weather")
    reader = make_subscriber(interests=("robots",))

    call_command("show_digest", reader.email.upper(), "--format", form)

    shown = capsys.readouterr().out
    assert "Robots that fold" in shown
    assert ("List-Unsubscribe" in shown) == (form == "eml")
    assert not Delivery.objects.exists()
    assert mailoutbox == []


@pytest.mark.django_db
def test_show_digest_shows_what_a_reader_got(capsys):
    delivery = make_digest(edition_of("Robots", date=D - DAY), state="accepted", accepted_at=timezone.now())
    edition_of("Weather")

    call_command("show_digest", delivery.subscriber.email, "--date", "2026-07-07")

    assert delivery.token in capsys.readouterr().out


@pytest.mark.django_db
def test_show_digest_says_why_there_is_none():
    edition_of("Robots")
    reader = make_subscriber(interests=("towels",), wants_trending_if_no_match=False)

    with pytest.raises(CommandError, match="nothing matched"):
        call_command("show_digest", reader.email)
    with pytest.raises(CommandError, match="No reader has the address"):
        call_command("show_digest", "nobody@example.org")
    with pytest.raises(CommandError, match="No edition of 2020-01-01 is closed"):
        call_command("show_digest", reader.email, "--date", "2020-01-01")


# Wrong usage, by the exit status ------------------------------------------------------------------


def status(*args: str, var: str) -> tuple[int, str]:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": var,
        "VAR_DIR": var,
        "ENV_FILE": os.devnull,
        "LOG_LEVEL": "ERROR",
    }
    done = subprocess.run(
        [sys.executable, "manage.py", *args], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (("close_edition", "--date", "yesterday"), 2, "write one such as 2026-07-01"),
        (("deliver", "--date", "2026-7-1"), 2, "write one such as 2026-07-01"),
        (("deliver", "--now", "noon"), 2, "write one such as 2026-07-01T07:00"),
        (("tick", "--now", "noon"), 2, "write one such as 2026-07-01T07:00"),
        (("deliver", "--json"), 1, "run `python manage.py migrate`"),
        (("tick",), 1, "run `python manage.py migrate`"),
    ],
)
def test_wrong_usage_and_a_missing_database_end_with_a_message_that_says_what_to_do(tmp_path, args, code, said):
    returned, error = status(*args, var=str(tmp_path))

    assert returned == code
    assert said in error
    assert "Traceback" not in error
