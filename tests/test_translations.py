"""The German catalogue is whole: every string is in it, translated, with the same values in it, and compiled."""

import gettext
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

CATALOGUE = Path("newsletter/locale/de/LC_MESSAGES/django.po")
_STRING = re.compile(r'^"(.*)"$', re.MULTILINE)
_VALUES = re.compile(r"%\(\w+\)\w+|%%")


def entries(catalogue: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each string, with its plural after a bar where it has one, and its translations."""
    for block in catalogue.split("\n\n")[1:]:
        fields = re.split(r"^(msgid|msgid_plural|msgstr(?:\[\d\])?) ", block, flags=re.MULTILINE)[1:]
        values = [(name, "".join(_STRING.findall(text)).replace('\\"', '"')) for name, text in _pairs(fields)]
        string = "|".join(value for name, value in values if name.startswith("msgid"))
        yield string, [value for name, value in values if name.startswith("msgstr")]


def _pairs(fields: list[str]) -> Iterator[tuple[str, str]]:
    return zip(fields[::2], fields[1::2], strict=True)


@pytest.fixture(scope="module")
def catalogue() -> dict[str, list[str]]:
    return dict(entries((ROOT / CATALOGUE).read_text()))


def test_every_string_is_translated_and_none_is_a_guess(catalogue):
    assert len(catalogue) > 300
    assert [string for string, translations in catalogue.items() if not all(translations)] == []
    assert "fuzzy" not in (ROOT / CATALOGUE).read_text()


def test_a_translation_has_the_same_values_as_its_string(catalogue):
    other = [
        (string, translation)
        for string, translations in catalogue.items()
        for translation in translations
        if not _same_values(string, translation)
    ]

    assert other == []


def _same_values(string: str, translation: str) -> bool:
    """Whether a translation leaves out nothing and invents nothing; a singular may spell its number out."""
    said = set(_VALUES.findall(translation))
    return any(said == set(_VALUES.findall(form)) for form in string.split("|"))


def test_what_is_compiled_is_what_was_written(catalogue):
    with (ROOT / CATALOGUE).with_suffix(".mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)

    for string, translations in catalogue.items():
        forms = string.split("|")
        plural = [compiled.ngettext(forms[0], forms[-1], n) for n in (1, 2)]
        found = plural if len(forms) == 2 else [compiled.gettext(string)]
        assert found == translations


@pytest.mark.mail
def test_no_string_of_the_code_is_missing_and_none_is_left_over(tmp_path, catalogue):
    for name in ("newsletter", "papers", "subscribers", "templates", "requirements", "manage.py", "Makefile"):
        source = ROOT / name
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, tmp_path / name)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").symlink_to(sys.executable)
    (tmp_path / ".venv" / ".run").touch()

    command = ["make", "messages", f"PY={sys.executable}"]
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "ENV_FILE": os.devnull}
    done = subprocess.run(command, cwd=tmp_path, env=env, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 0, done.stderr

    assert dict(entries((tmp_path / CATALOGUE).read_text())) == catalogue
