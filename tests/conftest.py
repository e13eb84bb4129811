"""What every test may rely on: loopback only, recorded data and tools where they are, a line where not."""

import itertools
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.utils import translation

ROOT = Path(__file__).resolve().parent.parent
POSTGRES_URL = os.environ.get("TEST_POSTGRES_URL", "postgres://postgres@127.0.0.1:5432/postgres")
REDIS_URL = os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379/15")
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
NPM_BIN = ROOT / "var" / "npm" / "node_modules" / ".bin"


# Also where PYTHONDONTWRITEBYTECODE is set: without, each worker of each run spends 3 s on rewriting all assertions.
sys.dont_write_bytecode = False


def shared_data() -> Path | None:
    """Return the folder of recorded answers, or None where there is none."""
    for candidate in (os.environ.get("SHARED_DATA"), ROOT.parent / "shared" / "data"):
        if candidate and Path(candidate).is_dir():
            return Path(candidate)
    return None


def _answers(url: str) -> bool:
    host, _, port = url.rpartition("@")[2].removeprefix("redis://").split("/")[0].partition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=1):
            return True
    except OSError:
        return False


def missing(need: str) -> str:
    """Return how to get what ``need`` stands for, or '' where it is there."""
    if need == "services":
        lacking = [name for name, url in (("PostgreSQL", POSTGRES_URL), ("Redis", REDIS_URL)) if not _answers(url)]
        return (
            f"no {' and no '.join(lacking)} on its port: start them, or set TEST_POSTGRES_URL and TEST_REDIS_URL"
            if lacking
            else ""
        )
    if need == "browser":
        return "" if Path(CHROMIUM).is_file() else f"no {CHROMIUM}: `apt-get install chromium`"
    if need == "mail":
        tools = {
            "spamassassin": shutil.which("spamassassin"),
            "java": shutil.which("java"),
            "vnu-jar": NPM_BIN.is_dir(),
            "gettext": shutil.which("xgettext"),
        }
        lacking = [name for name, found in tools.items() if not found]
        return f"no {', '.join(lacking)}: `bash .ci/run` installs what the mail tests need" if lacking else ""
    return "" if shared_data() else "no recorded answers: set SHARED_DATA to their folder"


@pytest.hookimpl(optionalhook=True)  # `-p no:xdist` knows no such hook
def pytest_xdist_auto_num_workers() -> int:
    """One more than there are processors: many tests wait for a process or a time limit."""
    return (os.cpu_count() or 1) + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    required = {need for need in os.environ.get("REQUIRE", "").split(",") if need}
    lacking = {need: missing(need) for need in ("services", "browser", "mail", "data")}
    for need in required:
        if lacking.get(need, f"REQUIRE names {need!r}, which no test knows"):
            pytest.exit(f"REQUIRE={need}: {lacking.get(need) or 'unknown'}", returncode=1)
    for item in items:
        for need, remedy in lacking.items():
            if remedy and item.get_closest_marker(need):
                item.add_marker(pytest.mark.skip(reason=remedy))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the tables that tests made of what they saw, whichever worker ran them."""
    for report in itertools.chain(*terminalreporter.stats.values()):
        if getattr(report, "when", "") == "call":
            for table in [value for name, value in report.user_properties if name == "table"]:
                terminalreporter.write_line(str(table))


@pytest.fixture(autouse=True)
def _only_loopback(socket_enabled: None) -> None:
    import pytest_socket  # noqa: PLC0415 - the plugin must be loaded first

    pytest_socket.socket_allow_hosts(["127.0.0.1", "::1", "localhost"], allow_unix_socket=True)


@pytest.fixture(autouse=True)
def _fresh_cache() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def outbox(settings: Any, tmp_path: Path) -> None:
    """A production instance's addresses, and a folder that its mails are written into."""
    settings.PUBLIC_URL = "https://papers.example.org"
    settings.DEFAULT_FROM_EMAIL = "Paperboy <digest@papers.example.org>"
    settings.SERVICE_FROM_EMAIL = "Paperboy <hello@papers.example.org>"
    settings.POSTAL_ADDRESS = "1 Example Street, Exampleton"
    settings.HUGGINGFACE_URL = "http://127.0.0.1:9"
    settings.EMAIL_BACKEND = "newsletter.providers.OutboxBackend"
    settings.EMAIL_FILE_PATH = tmp_path / "outbox"


@pytest.fixture
def migrated(tmp_path: Path, django_db_setup: None, django_db_blocker: Any) -> Path:
    """A VAR_DIR for commands run as processes, with the database that ``migrate`` makes: the tests' own, copied."""
    with django_db_blocker.unblock(), closing(sqlite3.connect(tmp_path / "db.sqlite3")) as copy:
        connection.ensure_connection()
        connection.connection.backup(copy)
    return tmp_path


MAILS: dict[str, bytes] = {}


@pytest.fixture
def mails(db: None, outbox: None) -> dict[str, bytes]:
    """One of every mail; made once in a process, for no test changes them."""
    from tests.specimens import every_mail  # noqa: PLC0415 - Django must be set up first

    if not MAILS:
        MAILS.update(every_mail())
    return MAILS


@pytest.fixture(autouse=True)
def _no_language_of_a_test_before() -> Iterator[None]:
    """A request leaves its language behind in its thread, and the next one in it brings its own."""
    yield
    translation.deactivate()


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of recorded answers; a test that asks for it is marked ``data``."""
    folder = shared_data()
    assert folder is not None
    return folder


@pytest.fixture(scope="session")
def replay(data: Path) -> Iterator[str]:
    """The recorded answers over HTTP; yields the server's address."""
    with running_replay(data) as url:
        yield url


class running_replay:  # noqa: N801 - used as a function
    """Serve the recorded answers on a free port; ``with running_replay(data, "--evening") as url``."""

    def __init__(self, folder: Path, *options: str) -> None:
        script = folder.parent / "tools" / "replay_upstreams.py"
        self.command = ["python3", str(script), "--data", str(folder), "--port", "0", *options]

    def __enter__(self) -> str:
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        return self.process.stdout.readline().rpartition(" ")[2].strip()

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.communicate(timeout=10)
