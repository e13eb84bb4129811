"""Several commands at once, on the embedded default: SQLite has one writer, and they wait for each other."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT
from tests.newsletter.instance import PAPERS, SUBSCRIBE

READERS = 20


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    # Nothing of the developer's own environment, which may name a real database and a real mail server.
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "VAR_DIR": str(folder), "ENV_FILE": os.devnull}
    environment |= {"LOG_LEVEL": "ERROR", "ADDRESS_HASH_KEY": "only-for-tests"}
    command = [sys.executable, "manage.py", *arguments]
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def end(process: subprocess.Popen[str]) -> str:
    printed, errors = process.communicate(timeout=120)
    assert "Traceback" not in errors, errors
    return printed


def test_deliveries_at_once_send_one_mail_to_each_reader(tmp_path):
    end(start(tmp_path, "migrate", "--verbosity", "0"))
    end(start(tmp_path, "shell", "-c", PAPERS + SUBSCRIBE.format(count=READERS)))
    end(start(tmp_path, "close_edition", "--date", "2026-07-08"))

    running = [start(tmp_path, "deliver", "--now", "2026-07-08T08:00", "--json") for _ in range(2)]
    reports = [json.loads(end(process)) for process in running]

    assert sum(report["sent"] for report in reports) == READERS
    written = sorted(file.name.split("-")[1] for file in (tmp_path / "outbox").glob("*.eml"))
    assert written == sorted(f"reader{n}@example.org" for n in range(READERS))
