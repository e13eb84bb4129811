"""The layers of ARCHITECTURE.md, read out of the code by its syntax trees: newsletter -> subscribers -> papers.

Each check takes a folder and returns its violations, so that it can be shown a small wrong tree as well.
"""

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.apps import apps

from tests.conftest import ROOT

LAYERS = ("papers", "subscribers", "newsletter")  # the lowest first
ADAPTERS = {"views", "admin", "tasks", "receivers"}
WIRING = {"urls", "apps"}
# The page behind a mail's link finds the reader by a delivery, which only the newsletter knows, and is
# then the same page that the subscribers' own links lead to.
HANDED_DOWN = {("newsletter.views", "subscribers.views")}
PURE = {
    "papers.acronyms",
    "papers.records",
    "papers.text",
    "papers.latex",
    "papers.pieces",
    "papers.query",
    "papers.index",
    "papers.encoders",
    "papers.fulltext",
    "papers.meaning",
    "papers.ranking",
    "papers.evidence",
    "papers.fields",
    "papers.gathering",
    "papers.likeness",
    "papers.matching",
    "papers.okapi",
    "papers.passages",
    "papers.phrases",
    "papers.rankers",
    "papers.relevance",
    "papers.standing",
    "papers.trending",
    "subscribers.candidates",
    "subscribers.chances",
    "subscribers.fanout",
    "subscribers.loops",
    "subscribers.places",
    "subscribers.selection",
    "subscribers.sketches",
    "newsletter.schedule",
    "newsletter.shortening",
}
IMPURE_IMPORTS = ("django.db", "django.conf", "django.apps", "django.contrib", "django.utils.timezone", "os")
CLOCK = re.compile(r"(.*\.)?(now|today|utcnow|localdate|localtime)|time\.\w+")
VAGUE = {"utils", "helpers", "services", "managers", "constants", "signals"}
# Published by name, since a task is an adapter and this one is above; the row waits for it anyway.
SENT_BY_NAME = {"newsletter.tasks.send_mail"}


def modules(root: Path) -> Iterator[tuple[str, ast.Module]]:
    """Yield the dotted name and the syntax tree of every module of the three packages."""
    for layer in LAYERS:
        for path in sorted((root / layer).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            yield ".".join(parts).removesuffix(".__init__"), ast.parse(path.read_text(), str(path))


def imports(tree: ast.Module) -> set[str]:
    """Return every dotted name that is imported, wherever in the module: ``from a import b`` gives ``a.b``."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def is_within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def layer_of(module: str) -> str:
    return module.partition(".")[0]


def upper_layers(module: str) -> tuple[str, ...]:
    return LAYERS[LAYERS.index(layer_of(module)) + 1 :]


def upward_imports(root: Path) -> list[str]:
    return [
        f"{module} imports {name}"
        for module, tree in modules(root)
        for name in sorted(imports(tree))
        if any(is_within(name, layer) for layer in upper_layers(module))
    ]


def upward_names(root: Path) -> list[str]:
    """Find the dotted name of something above, as a string that somebody imports later."""
    return [
        f"{module} names {node.value}"
        for module, tree in modules(root)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if re.fullmatch(r"\w+(\.\w+)+", node.value) and node.value not in SENT_BY_NAME
        if any(is_within(node.value, layer) for layer in upper_layers(module))
    ]


def adapter(name: str) -> str:
    """Return the adapter module that a dotted name is or is part of; '' when it is none."""
    match = re.match(rf"(?:{'|'.join(LAYERS)})\.(?:(?:{'|'.join(ADAPTERS)})\b|management\.commands\.\w+)", name)
    return match[0] if match else ""


def imported_adapters(root: Path) -> list[str]:
    return [
        f"{module} imports {found}"
        for module, tree in modules(root)
        for found in sorted({adapter(name) for name in imports(tree)} - {""})
        if module.rpartition(".")[2] not in WIRING and (module, found) not in HANDED_DOWN
    ]


def impurities(root: Path) -> list[str]:
    """Find what a pure module must not know: rows, settings, the environment, a clock, or an impure module."""
    return [
        f"{module} {fault}"
        for module, tree in modules(root)
        if module in PURE
        for fault in (*impure_imports(tree), *looks_at_a_clock(tree))
    ]


def impure_imports(tree: ast.Module) -> Iterator[str]:
    for name in sorted(imports(tree)):
        is_ours = any(is_within(name, layer) for layer in LAYERS)
        if any(is_within(name, wanted) for wanted in (PURE if is_ours else IMPURE_IMPORTS)) != is_ours:
            yield f"imports {name}"


def looks_at_a_clock(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and CLOCK.fullmatch(called := ast.unparse(node.func)):
            yield f"calls {called}"


def reverse_names(lower: str) -> set[str]:
    """Return the names by which rows of an upper layer would be reached from the models of ``lower``."""
    related = [
        relation
        for model in apps.get_app_config(lower).get_models()
        for relation in model._meta.related_objects
        if relation.related_model._meta.app_label in upper_layers(lower)
    ]
    return {str(name) for relation in related for name in (relation.get_accessor_name(), relation.name) if name}


def words_of_queries(tree: ast.Module) -> Iterator[str]:
    """Yield every part of a look-up path, wherever one may stand: attributes, keywords and plain strings."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.attr
        if isinstance(node, ast.keyword) and node.arg:
            yield from node.arg.split("__")
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and re.fullmatch(r"-?\w+", node.value):
            yield from node.value.lstrip("-").split("__")


def upward_queries(root: Path, names_above: Callable[[str], set[str]] = reverse_names) -> list[str]:
    in_code = [
        f"{module} reaches {word}"
        for module, tree in modules(root)
        if upper_layers(module) and ".migrations." not in module
        for word in sorted(set(words_of_queries(tree)) & names_above(layer_of(module)))
    ]
    in_templates = [
        f"{path.relative_to(root)} reaches {word}"
        for layer in LAYERS[:-1]
        for path in sorted((root / "templates" / layer).rglob("*.*"))
        for word in sorted(set(re.findall(r"\.(\w+)", path.read_text())) & names_above(layer))
    ]
    return in_code + in_templates


def vague_modules(root: Path) -> list[str]:
    return [module for module, _ in modules(root) if VAGUE & set(module.split("."))]


def relative_imports(root: Path) -> list[str]:
    return [
        module
        for module, tree in modules(root)
        if any(isinstance(node, ast.ImportFrom) and node.level for node in ast.walk(tree))
    ]


CHECKS: tuple[Callable[[Path], list[str]], ...] = (
    upward_imports,
    upward_names,
    imported_adapters,
    impurities,
    upward_queries,
    vague_modules,
    relative_imports,
)


@pytest.mark.parametrize("check", CHECKS)
def test_the_code_keeps_to_its_layers(check):
    assert check(ROOT) == []


@pytest.mark.parametrize(
    ("check", "path", "line"),
    [
        (upward_imports, "papers/search.py", "import subscribers.models"),
        (upward_imports, "subscribers/signup.py", "def f():\n    from newsletter import editions"),
        (upward_names, "papers/apps.py", "import_string('newsletter.editions.close')"),
        (imported_adapters, "papers/search.py", "from papers import views"),
        (imported_adapters, "newsletter/tick.py", "from newsletter.management.commands.deliver import Command"),
        (imported_adapters, "newsletter/views.py", "from papers.views import home"),
        (impurities, "papers/ranking.py", "from papers.models import Paper"),
        (impurities, "papers/text.py", "from django.conf import settings"),
        (impurities, "papers/index.py", "from papers.search import document"),
        (impurities, "newsletter/schedule.py", "from django.utils import timezone"),
        (impurities, "newsletter/schedule.py", "today = dt.date.today()"),
        (impurities, "newsletter/schedule.py", "import time\nstarted = time.time()"),
        (vague_modules, "papers/utils.py", ""),
        (vague_modules, "subscribers/services/mail.py", ""),
        (relative_imports, "papers/search.py", "from .index import PaperIndex"),
    ],
)
def test_a_check_finds_what_it_is_there_for(check, path, line, tmp_path):
    write(tmp_path, path, line)

    assert len(check(tmp_path)) == 1


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("subscribers/models.py", "reader.deliveries"),
        ("subscribers/selection.py", "readers.filter(deliveries__state='accepted')"),
        ("subscribers/selection.py", "readers.order_by('-deliveries__edition')"),
        ("papers/models.py", "paper.prefetch_related('deliveries')"),
        ("templates/subscribers/preferences.html", "{{ reader.deliveries.count }}"),
    ],
)
def test_a_reverse_name_in_a_lower_layer_is_found(path, text, tmp_path):
    write(tmp_path, path, text)

    assert len(upward_queries(tmp_path, lambda _: {"deliveries"})) == 1


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("newsletter/urls.py", "from newsletter import views"),
        ("newsletter/views.py", "from subscribers.views import preferences"),
        ("newsletter/editions.py", "reader.deliveries.filter(edition__papers__score=1)"),
        ("papers/ingest.py", "from django.utils import timezone\nfrom papers.models import Paper"),
        ("papers/trending.py", "import datetime as dt\nfrom papers.records import PaperRecord\nnoon = dt.time(12)"),
        ("subscribers/emails.py", "send_task('newsletter.tasks.send_mail')\n'See newsletter.editions in the tour.'"),
    ],
)
def test_the_checks_let_pass_what_is_allowed(path, line, tmp_path):
    write(tmp_path, path, line)

    assert [violation for check in CHECKS for violation in check(tmp_path)] == []


def test_every_pure_module_is_there_to_be_checked():
    assert PURE - {module for module, _ in modules(ROOT)} == set()


def test_the_reverse_names_come_from_the_models():
    assert "deliveries" in reverse_names("subscribers")
    assert "edition_papers" in reverse_names("papers")
    assert "follows" not in reverse_names("subscribers")


def write(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)
