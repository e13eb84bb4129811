"""The repository itself: what is in it, what must never be, and whether its papers say what is so."""

import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from django.core.management import get_commands, load_command_class
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import ROOT

TOP_LEVEL = {
    *(".ci", ".dockerignore", ".env.example", ".gitignore", "CHANGELOG.md", "Dockerfile", "LICENSE", "Makefile"),
    *("Procfile", "README.md", "docker-compose.yml", "docs", "manage.py", "newsletter", "papers", "pyproject.toml"),
    *("requirements", "subscribers", "templates", "tests"),
}
LOCK_FILES = re.compile(
    r"package(-lock)?\.json|yarn\.lock|pnpm-lock\.yaml|(uv|poetry|pdm|Pipfile)\.lock|pylock.*\.toml"
)
# Written in two halves, so that this file does not name them itself.
REGISTRIES = ["pypi" + ".org", "pythonhosted" + ".org", "npmjs" + ".org", "npmjs" + ".com", "yarnpkg" + ".com"]
MACHINE_PATHS = re.compile(r"(?<![\w.~-])/(work|root|Users|opt|home/[a-z]\w*)/")
OURS = ("papers", "subscribers", "newsletter")
COMMANDS = {"ingest", "close_edition", "deliver", "tick", "preview", "search", "show_digest"}


@pytest.fixture(scope="module")
def tracked() -> list[Path]:
    """Every file that git knows, of those that are there."""
    if not (ROOT / ".git").exists():
        pytest.skip("no git checkout: what is tracked cannot be told")
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in names.split("\0") if name and (ROOT / name).is_file()]


def texts(paths: list[Path]) -> dict[str, str]:
    """Return the text of each file by its name; pictures are left out."""
    found = {}
    for path in paths:
        try:
            found[str(path.relative_to(ROOT))] = path.read_text()
        except UnicodeDecodeError:
            assert path.suffix in {".png", ".ico", ".mo"}, path
    return found


def requirements(name: str) -> dict[str, tuple[str, str]]:
    """Return ``{name: (version, marker)}`` of one compiled file."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text().replace("\\\n", " ")
    parsed = [Requirement(line.partition("--hash")[0].strip()) for line in text.splitlines()]
    return {canonicalize_name(each.name): (str(each.specifier), str(each.marker or "")) for each in parsed}


def test_the_top_level_holds_what_the_layout_says_and_nothing_else(tracked):
    assert {path.relative_to(ROOT).parts[0] for path in tracked} - TOP_LEVEL == set()


def test_no_lock_file_is_tracked(tracked):
    assert [path.name for path in tracked if LOCK_FILES.fullmatch(path.name)] == []


def test_no_file_names_a_package_registry(tracked):
    named = [(name, host) for name, text in texts(tracked).items() for host in REGISTRIES if host in text]

    assert named == []


def test_no_file_names_a_path_of_one_machine(tracked):
    named = [(name, match[0]) for name, text in texts(tracked).items() for match in MACHINE_PATHS.finditer(text)]

    assert named == []


@pytest.mark.parametrize("folder", ["work", "root", "opt", "Users", "home/ada"])
def test_the_path_of_a_machine_is_recognised(folder):
    assert MACHINE_PATHS.search(f"see '/{folder}/x'")


@pytest.mark.parametrize("name", ["run", "providers", "test", "dev", "bench"])
def test_every_requirement_is_pinned_and_has_its_hashes(name):
    lines = (ROOT / "requirements" / f"{name}.txt").read_text().replace("\\\n", " ").splitlines()

    loose = [line for line in lines if not re.fullmatch(r"[\w.\[\],-]+==\S+( ; [^-]+)?( +--hash=sha256:\w{64})+", line)]

    assert loose == []


def test_each_file_of_requirements_holds_the_one_before_it_at_the_same_versions():
    run, providers, test, dev, bench = map(requirements, ("run", "providers", "test", "dev", "bench"))

    assert run.items() <= providers.items() <= test.items()
    assert test.items() <= dev.items()
    assert run.items() <= bench.items()


def _own_extras(requirement: Requirement, extras: dict[str, list[str]]) -> list[Requirement]:
    """Return what the requirement asks for: `paperboy[fast]` is what that extra lists."""
    if requirement.name != "paperboy":
        return [requirement]
    return [Requirement(line) for extra in requirement.extras for line in extras[extra]]


def test_the_requirements_are_compiled_from_the_project_file():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    of = {"run": [], "providers": ["ses", "signatures"], "test": ["test"], "dev": ["test", "dev"], "bench": ["bench"]}

    for name, wanted in of.items():
        pinned = requirements(name)
        written = map(Requirement, sum((extras[extra] for extra in wanted), project["dependencies"]))
        for requirement in (each for one in written for each in _own_extras(one, extras)):
            version, _ = pinned[canonicalize_name(requirement.name)]
            assert requirement.specifier.contains(version.removeprefix("=="), prereleases=True), requirement


@pytest.mark.parametrize("package", OURS)
def test_every_migration_is_named_by_hand(package):
    names = [path.stem for path in (ROOT / package / "migrations").glob("[0-9]*.py")]

    assert names
    assert [name for name in names if not re.fullmatch(r"\d{4}_[a-z][a-z_]+", name) or "_auto_" in name] == []


def our_commands() -> dict[str, str]:
    return {name: str(app) for name, app in get_commands().items() if app in OURS}


def test_every_command_of_the_contract_is_there():
    assert COMMANDS - our_commands().keys() == set()


@pytest.mark.parametrize("name", sorted(our_commands()))
def test_every_command_explains_itself(name, capsys):
    parser = load_command_class(our_commands()[name], name).create_parser("manage.py", name)

    with pytest.raises(SystemExit) as ended:
        parser.parse_args(["--help"])

    assert ended.value.code == 0
    assert parser.description
    assert [action.dest for action in parser._actions if not action.help] == []
    capsys.readouterr()


@pytest.mark.parametrize("name", sorted(COMMANDS - {"show_digest"}))
def test_every_command_of_the_contract_can_answer_in_json(name):
    parser = load_command_class(our_commands()[name], name).create_parser("manage.py", name)

    assert "--json" in parser.format_help()


def test_the_readme_lists_our_commands():
    section = (ROOT / "README.md").read_text().partition("\n## Commands\n")[2].partition("\n## ")[0]

    listed = set(re.findall(r"^\| `(\w+)", section, re.MULTILINE)) - {"createsuperuser"}

    assert listed == our_commands().keys()


def test_every_link_of_the_readme_leads_to_a_file():
    readme = (ROOT / "README.md").read_text()

    linked = [link for link in re.findall(r"\]\(([^)#]+)\)", readme) if not link.startswith(("http:", "https:"))]

    assert linked
    assert [link for link in linked if not (ROOT / link).exists()] == []


def test_every_target_of_the_makefile_is_explained():
    makefile = (ROOT / "Makefile").read_text()
    named = re.search(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)
    assert named is not None

    explained = re.findall(r"^([a-z]+):.*## \S", makefile, re.MULTILINE)

    assert sorted(explained) == sorted(named[1].split())


def test_the_sample_is_made_up_and_says_so():
    sample = json.loads((ROOT / "papers/sample/sample.json").read_text())

    papers = [paper for day in sample["days"] for paper in day]
    assert "made up" in sample["note"]
    assert (len(sample["days"]), len(papers)) == (3, 30)
    assert [paper["arxiv_id"] for paper in papers if not re.fullmatch(r"9912\.\d{5}", paper["arxiv_id"])] == []
