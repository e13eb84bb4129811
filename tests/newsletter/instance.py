"""An instance of its own as processes: a PostgreSQL database, a Redis prefix, a folder, a mail sink."""

import os
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import psycopg
import redis
from celery import Celery
from psycopg import sql

from tests.conftest import POSTGRES_URL, REDIS_URL, ROOT
from tests.newsletter.smtp import SmtpServer

PATIENCE_S = 60  # a machine that runs the rest of the suite beside this is slow to start things

# Run by `manage.py shell`: a list of twenty papers, and readers with two interests.
PAPERS = """
import datetime as dt
from django.utils import timezone
from papers.models import Listing, Paper
for n in range(20):
    now = timezone.now()
    paper = Paper.objects.create(arxiv_id=f"2607.{n:05d}", title=f"Agents, part {n}", upvotes=n, counted_at=now)
    Listing.objects.create(paper=paper, source="huggingface", list_date=dt.date(2026, 7, 7), stored_at=now)
"""
SUBSCRIBE = """
from django.utils import timezone
from subscribers.interests import follow
from subscribers.models import Subscriber
for n in range({count}):
    reader = Subscriber.objects.create(email=f"reader{{n}}@example.org", state="active", confirmed_at=timezone.now())
    for wording in ("agents", "reinforcement learning"):
        follow(reader, wording)
"""


class Instance:
    """``with Instance(folder, HUGGINGFACE_URL=…) as instance``; ends the processes that it started."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.name = f"paperboy_test_{secrets.token_hex(6)}"
        self.folder, self.sink = folder, SmtpServer()
        self.processes: list[subprocess.Popen[str]] = []
        self.database_url = urlsplit(POSTGRES_URL)._replace(path=f"/{self.name}").geturl()
        self.prefix = f"{self.name}:"
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "ENV_FILE": os.devnull,
            "VAR_DIR": str(folder / "var"),
            "TMPDIR": str(folder),  # a killed worker leaves its folder of temporary files behind
            "DATABASE_URL": self.database_url,
            "REDIS_URL": REDIS_URL,
            "REDIS_PREFIX": self.prefix,
            "ADDRESS_HASH_KEY": "only-for-tests",
            "POSTAL_ADDRESS": "1 Test Street, Testville",
            "EMAIL_PROVIDER": "smtp",
            "SOURCES": "huggingface",
            **environment,
        }

    def __enter__(self) -> Self:
        self.sink.__enter__()
        self.environment["EMAIL_URL"] = f"smtp://127.0.0.1:{self.sink.port}"
        with psycopg.connect(POSTGRES_URL, autocommit=True) as server:
            server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(self.name)))
        try:
            self.manage("migrate", "--verbosity", "0")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.communicate()
        self.sink.__exit__()
        with psycopg.connect(POSTGRES_URL, autocommit=True) as server:
            server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(self.name)))
        with redis.Redis.from_url(REDIS_URL) as broker:
            for key in broker.scan_iter(match=f"{self.prefix}*"):
                broker.delete(key)

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Start a module of the virtual environment as a process, its output in a file of the folder."""
        with (self.folder / f"{len(self.processes)}.log").open("w") as log:
            process = subprocess.Popen(
                [sys.executable, *command],
                cwd=ROOT,
                env=self.environment,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self.processes.append(process)
        return process

    def manage(self, *arguments: str) -> str:
        """Run one of the commands, which has to succeed, and return what it printed."""
        process = self.start("manage.py", *arguments)
        printed, _ = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, self.logs()
        return printed

    def celery(self, *arguments: str) -> subprocess.Popen[str]:
        return self.start("-m", "celery", "-A", "newsletter", *arguments)

    def call(self, task: str, *args: object) -> None:
        """Put a task into the queue, as any process with a broker may."""
        app = Celery(broker=REDIS_URL)
        app.conf.broker_transport_options = {"global_keyprefix": self.prefix}
        with app.connection_for_write() as connection:
            app.send_task(f"newsletter.tasks.{task}", args=args, connection=connection)

    def subscribe(self, count: int) -> None:
        self.manage("shell", "-c", SUBSCRIBE.format(count=count))

    def close_edition(self, readers: int) -> None:
        """Have papers, so many readers who follow some of them, and the edition of 2026-07-08."""
        self.manage("shell", "-c", PAPERS)
        self.subscribe(readers)
        self.manage("close_edition", "--date", "2026-07-08")

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.database_url) as database:
            return database.execute(query.encode()).fetchall()

    def logs(self) -> str:
        return "\n".join(path.read_text()[-3000:] for path in sorted(self.folder.glob("*.log")))

    @property
    def mailed(self) -> list[str]:
        return [envelope.rcpt_tos[0] for envelope in self.sink.handler.received]
