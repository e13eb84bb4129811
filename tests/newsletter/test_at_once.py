"""Several commands at once, on the embedded default: SQLite has one writer, and they wait for each other."""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from werkzeug import Request, Response

from tests.conftest import ROOT
from tests.newsletter.instance import PAPERS, SUBSCRIBE

READERS = 20
PROVIDER = """
from django.utils import timezone
from newsletter.models import ProviderState
now = timezone.now()
since = now if "{0}" == "open" else None
times = dict(opened_at=since, retry_at=since)
ProviderState.objects.update_or_create(name="file", defaults=dict(state="{0}", error="401", **times))
"""
# Looks when both are ready.
WATCH = """
import pathlib, sys, time
from django.utils import timezone
from newsletter import alerts
pathlib.Path("{0}/ready-{1}").touch()
while len(list(pathlib.Path("{0}").glob("ready-*"))) < 2:
    time.sleep(0.001)
alerts.watch(timezone.now())
"""


def start(folder: Path, *arguments: str, **more: str) -> subprocess.Popen[str]:
    # Nothing of the developer's own environment, which may name a real database and a real mail server.
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "VAR_DIR": str(folder), "ENV_FILE": os.devnull}
    environment |= {"LOG_LEVEL": "ERROR", "ADDRESS_HASH_KEY": "only-for-tests", **more}
    command = [sys.executable, "manage.py", *arguments]
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def end(process: subprocess.Popen[str]) -> str:
    printed, errors = process.communicate(timeout=120)
    assert "Traceback" not in errors, errors
    return printed


def test_deliveries_at_once_send_one_mail_to_each_reader(migrated):
    end(start(migrated, "shell", "-c", PAPERS + SUBSCRIBE.format(count=READERS)))
    end(start(migrated, "close_edition", "--date", "2026-07-08"))

    running = [start(migrated, "deliver", "--now", "2026-07-08T08:00", "--json") for _ in range(2)]
    reports = [json.loads(end(process)) for process in running]

    assert sum(report["sent"] for report in reports) == READERS
    written = sorted(file.name.split("-")[1] for file in (migrated / "outbox").glob("*.eml"))
    assert written == sorted(f"reader{n}@example.org" for n in range(READERS))


def test_watchers_at_once_say_what_begins_and_what_is_over_once(migrated, httpserver):
    said: Counter[tuple[str, str]] = Counter()

    def take(request: Request) -> Response:
        said[request.get_json()["subject"], request.get_json()["state"]] += 1
        time.sleep(0.2)  # the other looks meanwhile
        return Response("ok")

    httpserver.expect_request("/alert").respond_with_handler(take)
    url = httpserver.url_for("/alert")
    for state in ("open", "closed"):
        end(start(migrated, "shell", "-c", PROVIDER.format(state)))
        for file in migrated.glob("ready-*"):
            file.unlink()
        watchers = [start(migrated, "shell", "-c", WATCH.format(migrated, n), ALERT_URL=url) for n in range(2)]
        for watcher in watchers:
            watcher.communicate(timeout=120)
            assert watcher.returncode == 0

    assert {key: n for key, n in said.items() if key[0] == "provider file"} == {
        ("provider file", "on"): 1,
        ("provider file", "over"): 1,
    }
    assert max(said.values()) == 1
