"""What Paperboy refuses to start with, and whether its settings are written down where people look."""

import ast
import os
import re
import runpy
import subprocess
import sys
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from django.core.exceptions import ImproperlyConfigured

from tests.conftest import ROOT

PRODUCTION = {
    "PRODUCTION": "true",
    "SECRET_KEY": "a-key-of-our-own-that-nobody-else-has-0123456789",
    "PUBLIC_URL": "https://papers.example.org",
    "POSTAL_ADDRESS": "1 Test Street, Testville",
    "ADDRESS_HASH_KEY": "kept-for-ever",
    "EMAIL_PROVIDER": "postmark",
    "ANYMAIL_WEBHOOK_SECRET": "user:password",
}


def alone(tmp_path: Path, **environment: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "ENV_FILE": os.devnull, "VAR_DIR": str(tmp_path), **environment}


def settings_under(tmp_path: Path, **environment: str) -> dict[str, Any]:
    """Return the settings as they are read under ``environment`` alone, which must be done in silence."""
    with mock.patch.dict(os.environ, alone(tmp_path, **environment), clear=True), redirect_stderr(StringIO()) as said:
        read = runpy.run_path(str(ROOT / "newsletter/settings.py"))
    assert said.getvalue() == ""
    return read


def refusal(tmp_path: Path, **environment: str) -> str:
    """Return what reading the settings under ``environment`` alone is refused with; '' when it is not."""
    try:
        settings_under(tmp_path, **environment)
    except ImproperlyConfigured as refused:
        return f"{type(refused).__name__}: {refused}"
    return ""


@pytest.mark.parametrize(
    "environment", [{}, PRODUCTION, {"PRODUCTION": "true"}], ids=["empty", "all set", "too little"]
)
def test_a_process_says_nothing_when_it_starts_and_ends_when_it_must_not(environment, tmp_path):
    started = subprocess.run(
        [sys.executable, "-c", "import newsletter.settings"],
        cwd=ROOT,
        env=alone(tmp_path, **environment),
        capture_output=True,
        text=True,
        check=False,
    )

    refused = refusal(tmp_path, **environment)
    assert bool(started.returncode) == bool(started.stderr) == bool(refused)
    assert started.stderr.strip().rpartition("\n")[2].endswith(refused)


def test_it_starts_on_an_empty_environment(tmp_path):
    assert refusal(tmp_path) == ""


def test_it_starts_in_production_when_all_is_set(tmp_path):
    assert refusal(tmp_path, **PRODUCTION) == ""


@pytest.mark.parametrize(
    "name", ["SECRET_KEY", "PUBLIC_URL", "POSTAL_ADDRESS", "ADDRESS_HASH_KEY", "ANYMAIL_WEBHOOK_SECRET"]
)
@pytest.mark.parametrize("value", [None, ""], ids=["missing", "empty"])
def test_production_refuses_to_start_without_a_setting_and_says_what_to_set(name, value, tmp_path):
    environment = {key: PRODUCTION[key] for key in PRODUCTION if key != name}
    if value is not None:
        environment[name] = value

    message = refusal(tmp_path, **environment)

    assert "ImproperlyConfigured" in message
    assert f"set {name}" in message


def test_production_refuses_the_secret_key_that_is_in_the_repository(tmp_path):
    default = re.search(r'^DEFAULT_SECRET_KEY = "(.+?)"', (ROOT / "newsletter/settings.py").read_text(), re.MULTILINE)
    assert default is not None

    assert "set SECRET_KEY to" in refusal(tmp_path, **PRODUCTION | {"SECRET_KEY": default[1]})


def test_one_refusal_names_everything_that_is_missing(tmp_path):
    message = refusal(tmp_path, PRODUCTION="true", EMAIL_PROVIDER="resend")

    assert re.findall(r"set ([A-Z_]+)", message) == [
        "SECRET_KEY",
        "PUBLIC_URL",
        "POSTAL_ADDRESS",
        "ADDRESS_HASH_KEY",
        "ANYMAIL_WEBHOOK_SECRET",
    ]


def test_production_needs_the_webhook_secret_of_a_provider_that_only_stands_in(tmp_path):
    environment = PRODUCTION | {"EMAIL_PROVIDER": "smtp", "EMAIL_FALLBACK_PROVIDER": "postmark"}

    assert refusal(tmp_path, **environment) == ""
    assert "set ANYMAIL_WEBHOOK_SECRET" in refusal(tmp_path, **environment | {"ANYMAIL_WEBHOOK_SECRET": ""})


def test_amazons_client_has_to_be_installed_where_it_is_to_send(tmp_path):
    assert refusal(tmp_path, EMAIL_PROVIDER="amazon_ses") == ""
    with mock.patch.dict(sys.modules, boto3=None):
        assert "pip install paperboy[ses]" in refusal(tmp_path, EMAIL_PROVIDER="amazon_ses")
        assert "pip install paperboy[ses]" in refusal(tmp_path, EMAIL_FALLBACK_PROVIDER="amazon_ses")


@pytest.mark.parametrize("provider", ["file", "smtp"])
def test_production_needs_no_webhook_secret_where_no_webhook_comes(provider, tmp_path):
    environment = PRODUCTION | {"EMAIL_PROVIDER": provider}
    del environment["ANYMAIL_WEBHOOK_SECRET"]

    assert refusal(tmp_path, **environment) == ""


def test_the_longest_public_url_whose_unsubscribe_link_fits_into_a_header_is_33_characters(tmp_path):
    longest = f"https://{'p' * 21}.org"

    assert len(longest) == 33
    assert refusal(tmp_path, PUBLIC_URL=longest) == ""
    message = refusal(tmp_path, PUBLIC_URL=longest.replace("p", "pp", 1))
    assert "PUBLIC_URL is 34 characters long; set one of at most 33" in message


@pytest.mark.parametrize("url", ["papers.example.org", "ftp://papers.example.org", "https://", "https://a.org/?b=c"])
def test_a_public_url_that_no_link_can_be_built_on_is_refused(url, tmp_path):
    assert "set PUBLIC_URL to" in refusal(tmp_path, PUBLIC_URL=url)


def test_a_setting_of_the_environment_wins_over_the_file(tmp_path):
    env_file = tmp_path / "env"
    env_file.write_text("PUBLIC_URL=nonsense\nSITE_NAME=From the file\n")

    assert "set PUBLIC_URL to" in refusal(tmp_path, ENV_FILE=str(env_file))
    assert refusal(tmp_path, ENV_FILE=str(env_file), PUBLIC_URL="https://papers.example.org") == ""


def names_read_by_settings() -> set[str]:
    """Return the names in ``env.str("NAME")`` and its kin, and every prefix that is passed on."""
    calls = [
        node
        for node in ast.walk(ast.parse((ROOT / "newsletter/settings.py").read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args
    ]
    read = {
        call.args[0].value
        for call in calls
        if re.fullmatch(r"env\.\w+", ast.unparse(call.func)) and isinstance(call.args[0], ast.Constant)
    }
    return {str(name) for name in read}


def test_the_example_file_lists_every_setting_and_no_other():
    example = (ROOT / ".env.example").read_text()

    listed = re.findall(r"^(?:# )?([A-Z][A-Z_]+)=", example, re.MULTILINE)

    assert sorted(listed) == sorted(names_read_by_settings())
    assert "ANYMAIL_" in example


def test_the_readme_lists_every_setting_and_no_other():
    section = (ROOT / "README.md").read_text().partition("\n## Settings\n")[2].partition("\n## ")[0]

    cells = re.findall(r"^\| (`.+?) \|", section, re.MULTILINE)
    listed = [name for cell in cells for name in re.findall(r"`([A-Z_]+…?)`", cell)]

    assert sorted(listed) == sorted(names_read_by_settings() | {"ANYMAIL_…"})


def test_nobody_but_the_settings_reads_the_environment():
    code = [path for package in ("papers", "subscribers", "newsletter") for path in (ROOT / package).rglob("*.py")]

    readers = {
        str(path.relative_to(ROOT))
        for path in code
        if re.search(r"\bos\.(environ|getenv)\b(?!\.setdefault\(\"DJANGO_SETTINGS_MODULE\")", path.read_text())
    }

    assert readers == {"newsletter/settings.py"}


@pytest.mark.parametrize("name", ["EMAIL_RATE_PER_SECOND", "EMAIL_FALLBACK_RATE_PER_DAY"])
def test_a_rate_below_zero_is_refused(name, tmp_path):
    assert f"set {name} to what the provider allows" in refusal(tmp_path, **{name: "-1"})


@pytest.mark.parametrize(
    ("environment", "remedy"),
    [
        ({"UNKNOWN_DELIVERIES": "retry"}, "UNKNOWN_DELIVERIES is 'retry'; set it to hold or to resend."),
        ({"EMAIL_PROVIDER": "postmrak"}, "EMAIL_PROVIDER is 'postmrak'; set it to file, smtp or a backend of"),
        ({"EMAIL_FALLBACK_PROVIDER": "carrier"}, "EMAIL_FALLBACK_PROVIDER is 'carrier'; set it to file, smtp or"),
        ({"EMAIL_PROVIDER": "smtp", "EMAIL_FALLBACK_PROVIDER": "smtp"}, "EMAIL_FALLBACK_PROVIDER is smtp as well"),
    ],
)
def test_nonsense_about_sending_is_refused_with_what_to_set(environment, remedy, tmp_path):
    assert remedy in refusal(tmp_path, **environment)


def test_the_time_that_a_provider_has_to_answer_is_a_number(tmp_path):
    told = {"ANYMAIL_REQUESTS_TIMEOUT": "2.5", "ANYMAIL_RESEND_API_KEY": "123"}

    read = settings_under(tmp_path, **told)["ANYMAIL"]

    assert {name: read[name] for name in ("REQUESTS_TIMEOUT", "RESEND_API_KEY")} == {
        "REQUESTS_TIMEOUT": 2.5,
        "RESEND_API_KEY": "123",
    }
