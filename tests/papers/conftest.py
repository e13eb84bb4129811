"""What several tests of papers need."""

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from papers.encoders import WordLlamaEncoder, load
from tests.conftest import POSTGRES_URL, ROOT


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[str]:
    """The address of a PostgreSQL database of the test's own, migrated; who asks for it is marked ``services``."""
    name = sql.Identifier(f"paperboy_test_{secrets.token_hex(6)}")
    address = f"{POSTGRES_URL.rpartition('/')[0]}/{name.as_string().strip(chr(34))}"
    with psycopg.connect(POSTGRES_URL, autocommit=True) as server:
        server.execute(sql.SQL("CREATE DATABASE {}").format(name))
        try:
            environment = os.environ | {
                "DJANGO_SETTINGS_MODULE": "newsletter.settings",
                "ENV_FILE": os.devnull,
                "VAR_DIR": str(tmp_path),
                "DATABASE_URL": address,
            }
            migrate = [sys.executable, "manage.py", "migrate", "papers", "--verbosity", "0"]
            subprocess.run(migrate, cwd=ROOT, env=environment, check=True)
            yield address
        finally:
            server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


@pytest.fixture(scope="session")
def wordllama() -> WordLlamaEncoder:
    """The real one, loaded once."""
    found = load("wordllama", "")
    assert isinstance(found, WordLlamaEncoder)
    return found
