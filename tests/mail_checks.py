"""What mail programs, filters and readers' eyes would say of a mail, by tools that work offline."""

import json
import os
import re
import subprocess
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, sync_playwright

from tests.conftest import CHROMIUM, ROOT

NPM = ROOT / "var" / "npm"
CHROMIUM_ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
CLIENTS = ["gmail.*", "outlook.*", "apple-mail.*", "yahoo.*", "thunderbird.*"]
DOIUSE_EMAIL = """
const { doIUseEmail } = require("@jsx-email/doiuse-email");
const pages = JSON.parse(require("fs").readFileSync(0, "utf8"));
const found = pages.map((html) => doIUseEmail(html, { emailClients: process.argv.slice(1) }).errors || []);
console.log(JSON.stringify(found.flat()));
"""
# Rules about landmarks: a mail is shown inside the page of a mail program, which has them.
NOT_FOR_MAILS = ["region", "landmark-one-main"]


def spam_scores(mails: Mapping[str, bytes], home: Path) -> dict[str, tuple[float, list[str]]]:
    """Return, for each mail, SpamAssassin's score by its local rules, and the rules that added to it.

    All go in one mailbox file: most of the time is spent on reading the rules.
    """
    mailbox = b"".join(_separator(n) + _escaped(raw) for n, raw in enumerate(mails.values()))
    checked = subprocess.run(
        ["spamassassin", "--local", "--test-mode", "--mbox"],
        input=mailbox,
        capture_output=True,
        check=True,
        env=_environment(home),
    ).stdout.decode(errors="replace")
    # They come back in another order.
    _, *pieces = re.split(r"^From (\d+)@example\.org ", checked, flags=re.MULTILINE)
    reports = dict(zip(map(int, pieces[::2]), pieces[1::2], strict=True))
    return {name: _read_report(reports[n]) for n, name in enumerate(mails)}


def _separator(number: int) -> bytes:
    return f"From {number}@example.org Mon Jan  1 00:00:00 2024\n".encode()


def _escaped(raw: bytes) -> bytes:
    return re.sub(rb"^(>*From )", rb">\1", raw.replace(b"\r\n", b"\n"), flags=re.MULTILINE) + b"\n"


def _read_report(report: str) -> tuple[float, list[str]]:
    score = re.search(r"^X-Spam-Status: \w+, score=(-?[\d.]+)", report, re.MULTILINE)
    assert score is not None, report[:500]
    return float(score[1]), sorted(set(re.findall(r"^ *((?!0\.0)\d+\.\d+ [A-Z]\w+)", report, re.MULTILINE)))


def _environment(home: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(home), "LC_ALL": "C.UTF-8"}


def html_errors(pages: Mapping[str, str], folder: Path) -> list[str]:
    """Return the errors that the W3C's validator finds in pages of HTML, each with the page's name."""
    for name, html in pages.items():
        (folder / f"{name}.html").write_text(html)
    jar = NPM / "node_modules" / "vnu-jar" / "build" / "dist" / "vnu.jar"
    command = ["java", "-jar", str(jar), "--format", "json", "--stdout", "--exit-zero-always"]
    files = [str(folder / f"{name}.html") for name in pages]
    checked = subprocess.run([*command, *files], capture_output=True, text=True, check=True)
    return [
        f"{Path(message['url']).stem}:{message.get('lastLine')}: {message['message']}"
        for message in json.loads(checked.stdout)["messages"]
        if message["type"] == "error"
    ]


def unsupported(pages: Collection[str]) -> set[tuple[str, str]]:
    """Return ``(what, client)`` for all that a mail program is known not to support, by caniemail's data."""
    checked = subprocess.run(
        ["node", "-e", DOIUSE_EMAIL, *CLIENTS],
        input=json.dumps(list(pages)),
        cwd=NPM,
        capture_output=True,
        text=True,
        check=True,
    )
    pairs = [re.fullmatch(r"`(.+)` is not supported by `(.+)`", error) for error in json.loads(checked.stdout)]
    assert all(pairs), checked.stdout
    return {(pair[1], pair[2]) for pair in pairs if pair}


@contextmanager
def browser_page(**options: Any) -> Iterator[Page]:
    """Yield a page of a headless Chromium, with the options of Playwright's ``new_page``.

    Playwright keeps an event loop in this thread while it is open: query the database before.
    """
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGS)
        try:
            yield browser.new_page(**options)
        finally:
            browser.close()


def accessibility_faults(page: Page, html: str) -> list[str]:
    """Return axe's violations in light and dark; contrast that it could not tell counts as one."""
    faults = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        page.set_content(html)
        rules = {"rules": {rule: {"enabled": False} for rule in NOT_FOR_MAILS}}
        response = Axe().run(page, options=rules).response
        unsure = [rule for rule in response["incomplete"] if rule["id"] == "color-contrast"]
        faults += [
            f"{scheme} {rule['id']} {node['target']} {node['any'][0]['message'] if node['any'] else ''}"
            for rule in response["violations"] + unsure
            for node in rule["nodes"]
        ]
    return faults


def width_of(page: Page, html: str, viewport: int) -> int:
    """Return how wide the page's content is, in pixels, in a window of ``viewport`` pixels."""
    page.set_viewport_size({"width": viewport, "height": 800})
    page.set_content(html)
    return int(page.evaluate("document.documentElement.scrollWidth"))
