"""docker-compose.yml without Docker: its commands and health checks, read out of the file, as local processes.

What the Dockerfile copies is copied, what it runs to collect the static files is run, and the commands
start in that folder with the environment of the compose file, on a database and a Redis prefix of their
own. Left out, for want of a container: the images, ``pip install`` in them, and the network between them.
"""

import os
import re
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
import redis
import yaml
from django.conf import settings

from newsletter import tasks
from tests.conftest import POSTGRES_URL, REDIS_URL, ROOT

OURS = ("web", "worker", "service", "beat")
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
PATIENCE_S = 60.0  # a machine that runs the rest of the suite beside this is slow to start things


def test_the_compose_file_is_valid() -> None:
    schema = ["--builtin-schema", "vendor.compose-spec"]

    checked = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", *schema, str(ROOT / "docker-compose.yml")],
        capture_output=True,
        text=True,
        check=False,
    )

    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_schema_refuses_a_misspelt_key(tmp_path: Path) -> None:
    wrong = tmp_path / "docker-compose.yml"
    wrong.write_text("services: {web: {image: x, helthcheck: {}}}")

    checked = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(wrong)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert checked.returncode == 1
    assert "helthcheck" in checked.stdout


def test_the_procfile_runs_the_commands_of_the_compose_file() -> None:
    lines = (ROOT / "Procfile").read_text().splitlines()

    procfile = {name: shlex.split(command) for name, _, command in (line.partition(":") for line in lines)}

    assert procfile == {name: SERVICES[name]["command"] for name in OURS}


def test_every_service_that_stays_has_a_health_check() -> None:
    without = {name for name, service in SERVICES.items() if "healthcheck" not in service}

    assert without == {"migrate"}


def test_every_command_is_its_own_process_without_a_shell() -> None:
    with_a_shell = [name for name, service in SERVICES.items() if isinstance(service.get("command", []), str)]

    assert with_a_shell == []


def test_every_image_is_pinned_by_its_version() -> None:
    images = [service["image"] for service in SERVICES.values() if "build" not in service]
    base = re.search(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert base is not None

    loose = [image for image in [*images, base[1]] if not re.search(r":v?\d+\.?\d*", image)]

    assert loose == []


def queues(name: str) -> list[str]:
    command = SERVICES[name]["command"]
    return str(command[command.index("--queues") + 1]).split(",")


def test_each_queue_has_one_worker_and_service_mails_have_one_to_themselves() -> None:
    taken = [*queues("worker"), *queues("service")]

    assert sorted(taken) == sorted(queue.name for queue in settings.CELERY_TASK_QUEUES)
    assert queues("service") == [settings.SERVICE]


def test_what_is_routed_and_what_beat_asks_for_are_tasks_that_exist() -> None:
    beaten = {entry["task"] for entry in settings.CELERY_BEAT_SCHEDULE.values()}
    routed = {task: route["queue"] for task, route in settings.CELERY_TASK_ROUTES.items()}

    assert (beaten | routed.keys()) - {f"newsletter.tasks.{name}" for name in vars(tasks)} == set()
    assert {task for task, queue in routed.items() if queue == settings.SERVICE} == {
        "newsletter.tasks.mail",
        "newsletter.tasks.send_mail",
    }


def test_a_worker_that_is_told_to_stop_is_given_longer_than_a_unit_takes() -> None:
    for name in ("worker", "service"):
        minutes = re.fullmatch(r"(\d+)m", SERVICES[name]["stop_grace_period"])
        assert minutes is not None
        assert int(minutes[1]) * 60 > 2 * settings.EMAIL_TIMEOUT


def test_redis_hands_no_task_out_again_while_its_chunk_can_still_be_worked_on() -> None:
    longest_s = settings.CHUNK_SIZE * settings.EMAIL_TIMEOUT

    assert settings.CELERY_BROKER_TRANSPORT_OPTIONS["visibility_timeout"] > longest_s > settings.CHUNK_LEASE_S
    assert (settings.CELERY_TASK_ACKS_LATE, settings.CELERY_TASK_REJECT_ON_WORKER_LOST) == (True, True)


def test_only_loopback_ports_are_published() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]

    assert published
    assert [port for port in published if not port.startswith("127.0.0.1:")] == []


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """A PostgreSQL database of this module's own; yields its address."""
    name = f"paperboy_compose_{secrets.token_hex(4)}"
    with psycopg.connect(POSTGRES_URL, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
        yield urlsplit(POSTGRES_URL)._replace(path=f"/{name}").geturl()
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture
def prefix() -> Iterator[str]:
    """A Redis prefix of one test's own, so that no worker finds what another test's beat asked for."""
    name = f"paperboy-compose-{secrets.token_hex(4)}:"
    yield name
    with redis.Redis.from_url(REDIS_URL) as client:
        for key in client.scan_iter(f"{name}*"):
            client.delete(key)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the Dockerfile puts into the image, static files included."""
    app = tmp_path_factory.mktemp("image")
    dockerfile = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    for source, target in re.findall(r"^COPY (\S+) (\S+)$", dockerfile, re.MULTILINE):
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, app / target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            (app / target).mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / source, app / target)
    collect = re.search(r"^RUN (.* collectstatic .*)$", dockerfile, re.MULTILINE)
    assert collect is not None
    subprocess.run(["sh", "-c", collect[1]], cwd=app, env=bare_environment(app), check=True, capture_output=True)
    return app


@pytest.fixture
def environment(image: Path, database: str, prefix: str) -> dict[str, str]:
    """What a container of ours sees: the compose file's values, then the operator's ``.env``."""
    composed = {name: with_defaults(value) for name, value in COMPOSE["x-app"]["environment"].items()}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    elsewhere = {
        "DATABASE_URL": database,
        "REDIS_URL": REDIS_URL,
        "REDIS_PREFIX": prefix,
        "PORT": port,
        "GUNICORN_CMD_ARGS": "",
    }
    operator = {
        "SECRET_KEY": secrets.token_urlsafe(40),
        "ADDRESS_HASH_KEY": secrets.token_urlsafe(16),
        "POSTAL_ADDRESS": "1 Test Street, Testville",
        "PUBLIC_URL": "https://papers.example.org",
    }
    assert elsewhere.keys() - composed.keys() <= {"REDIS_PREFIX"}
    return bare_environment(image) | composed | elsewhere | operator


def bare_environment(home: Path) -> dict[str, str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {"PATH": path, "HOME": str(home), "HOSTNAME": socket.gethostname(), "PYTHONDONTWRITEBYTECODE": "1"}


def with_defaults(value: str) -> str:
    """Return what compose makes of ``${NAME:-default}`` when ``.env`` does not name it."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value)


def health_command(name: str) -> list[str]:
    kind, *words = SERVICES[name]["healthcheck"]["test"]
    words = [word.replace("$$", "$") for word in words]
    return words if kind == "CMD" else ["sh", "-c", *words]


def is_healthy(name: str, cwd: Path, env: dict[str, str]) -> bool:
    checked = subprocess.run(health_command(name), cwd=cwd, env=env, capture_output=True, check=False)
    return checked.returncode == 0


@pytest.fixture
def migrated(image: Path, environment: dict[str, str]) -> None:
    """The one-shot service has run."""
    command = SERVICES["migrate"]["command"]
    done = subprocess.run(command, cwd=image, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.services
@pytest.mark.parametrize("name", OURS)
def test_a_service_is_healthy_while_it_runs_and_not_after(
    name: str, image: Path, environment: dict[str, str], migrated: None, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            SERVICES[name]["command"], cwd=image, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        deadline = time.monotonic() + PATIENCE_S
        while not (healthy := is_healthy(name, image, environment)) and time.monotonic() < deadline:
            assert process.poll() is None, log.read_text()
            time.sleep(0.2)
        assert healthy, log.read_text()
    finally:
        process.send_signal(signal.SIGTERM)
        stopped = process.wait(timeout=PATIENCE_S)

    assert stopped == 0, log.read_text()
    assert not is_healthy(name, image, environment)


def test_the_image_holds_its_static_files_compressed(image: Path) -> None:
    styles = (image / "var" / "static").rglob("paperboy.*.css*")

    assert {path.suffix for path in styles} == {".css", ".gz"}
