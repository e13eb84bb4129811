"""``make shots``: pictures of every mail and page, of an instance of its own on the bundled sample."""

import argparse
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

from playwright.sync_api import Page

from tests.conftest import ROOT
from tests.mail_checks import browser_page

SHOTS = ROOT / "var" / "shots"
README_PICTURE = ROOT / "docs" / "digest.png"
SCHEMES = ("light", "dark")
WIDTHS = (375, 700)
README_HEIGHT = 1100
PATIENCE_S = 30.0
OPERATOR = """
from django.contrib.auth.models import User
User.objects.create_superuser("operator", "operator@example.org", "operator")
"""


class Site:
    """A running site with the demo's readers; ``manage`` runs one of its commands."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.url = f"http://127.0.0.1:{free.getsockname()[1]}"
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "ENV_FILE": os.devnull,
            "VAR_DIR": str(folder),
            "PUBLIC_URL": self.url,
            "SOURCES": "huggingface",
            "HUGGINGFACE_URL": "http://127.0.0.1:9",
            "LOG_LEVEL": "ERROR",
            "POSTAL_ADDRESS": "1 Example Street, Exampleton",
        }

    def manage(self, *words: str) -> str:
        command = [sys.executable, "manage.py", *words]
        done = subprocess.run(command, cwd=ROOT, env=self.environment, stdout=subprocess.PIPE, text=True, check=True)
        return done.stdout

    def mails(self) -> dict[str, EmailMessage]:
        """Return the newest mail of each reader, by the part of their address before the @."""
        found = {}
        for path in sorted((self.folder / "outbox").glob("*.eml")):
            mail = read(path)
            found[str(mail["To"]).partition("@")[0]] = mail
        return found


@contextmanager
def running_site(folder: Path) -> Iterator[Site]:
    """Yield a site on the sample, whose three readers have their digest."""
    site = Site(folder)
    site.manage("demo", "--json")
    address = site.url.removeprefix("http://")
    command = [sys.executable, "manage.py", "runserver", "--noreload", address]
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(command, cwd=ROOT, env=site.environment, stdout=log, stderr=log)
    try:
        wait_for(f"{site.url}/readyz")
        yield site
    finally:
        server.terminate()
        server.wait(timeout=PATIENCE_S)


def wait_for(url: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()  # noqa: S310 - our own address
        except urllib.error.URLError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return


def read(path: Path) -> EmailMessage:
    mail = message_from_bytes(path.read_bytes(), policy=policy.default)
    assert isinstance(mail, EmailMessage)
    return mail


def body(mail: EmailMessage, kind: str) -> str:
    part = mail.get_body((kind,))
    assert part is not None
    return str(part.get_content())


def link(mail: EmailMessage, path: str) -> str:
    found = re.search(rf"https?://\S+/{path}[^\s#]*", body(mail, "plain"))
    assert found is not None, path
    return found[0]


def shoot(page: Page, name: str) -> None:
    """Take a picture of the whole page as it is, in every scheme and width."""
    for scheme in SCHEMES:
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 800})
            page.screenshot(path=SHOTS / f"{name}-{scheme}-{width}.png", full_page=True)


def shoot_mails(page: Page, folder: Path) -> None:
    """Take pictures of one of every mail, made by an instance of its own."""
    drafts = folder / "specimens"
    drafts.mkdir()
    Site(drafts).manage("shell", "--no-imports", "-c", f"from tests.specimens import write; write({str(drafts)!r})")
    for path in sorted(drafts.glob("*.eml")):
        page.set_content(body(read(path), "html"))
        shoot(page, f"mail-{path.stem}")


def shoot_pages(page: Page, site: Site) -> None:
    """Walk a new reader's way, and take a picture of every page on it."""
    shoot_at(page, site.url, "page-home")
    paper = json.loads(site.manage("search", "diffusion models", "--json"))["papers"][0]["id"]
    shoot_at(page, f"{site.url}/paper/{paper}", "page-paper")
    shoot_at(page, f"{site.url}/search?q=diffusion+models", "page-search")
    shoot_at(page, f"{site.url}/search?q=robot+foo:bar", "page-search-error")
    shoot_at(page, f"{site.url}/subscribe", "page-subscribe")
    page.fill("main input[type=email]", "new-reader@example.org")
    page.fill("main textarea", "diffusion models\nspeech")
    page.wait_for_timeout(4_000)  # the form refuses whom it takes for a robot
    page.click("main form button")
    shoot(page, "page-check-inbox")
    site.manage("tick")
    shoot_at(page, link(site.mails()["new-reader"], "c/"), "page-confirm")
    page.click("main form button")
    shoot(page, "page-confirmed")
    digest = site.mails()["several-interests"]
    preferences = link(digest, r"m/[\w-]+/preferences")
    shoot_at(page, preferences, "page-preferences")
    shoot_steering(page, preferences.removesuffix("preferences"), arxiv_id(digest))
    shoot_at(page, link(digest, "u/"), "page-unsubscribe")
    shoot_at(page, f"{site.url}/paper/0000.00000", "page-not-found")


def shoot_steering(page: Page, mail_url: str, paper: str) -> None:
    """Take pictures of what a reader steers from a digest, asked and done."""
    shoot_at(page, f"{mail_url}less/{paper}", "page-less")
    page.click("button[value=vote]")
    shoot(page, "page-less-done")
    shoot_at(page, f"{mail_url}mute/1", "page-mute-interest")
    shoot_at(page, f"{mail_url}mute?word=-", "page-mute-word-refused")
    page.click("text=All your preferences")
    page.click("text=What you were sent")
    shoot(page, "page-sent-digests")


def shoot_desk(page: Page, site: Site) -> None:
    """Take pictures of the operator's page of an edition, and of what it asks before it is cancelled."""
    site.manage("shell", "-c", OPERATOR)
    page.goto(f"{site.url}/admin/newsletter/edition/")
    page.fill("#id_username", "operator")
    page.fill("#id_password", "operator")
    page.click("input[type=submit]")
    page.click("th.field-date a")
    shoot(page, "desk-edition")
    page.click("button[value=cancel]")
    shoot(page, "desk-sure")
    shoot_at(page, f"{site.url}/admin/newsletter/delivery/", "desk-deliveries")


def arxiv_id(digest: EmailMessage) -> str:
    """Return the id of the first paper of a digest."""
    found = re.search(r"/(?:abs|paper)/(\S+)", body(digest, "plain"))
    assert found is not None
    return found[1]


def shoot_at(page: Page, url: str, name: str) -> None:
    page.goto(url)
    shoot(page, name)


def renew_readme_picture(site: Site) -> None:
    """Write the top of a digest, as the README shows it."""
    README_PICTURE.parent.mkdir(exist_ok=True)
    with browser_page(viewport={"width": 700, "height": README_HEIGHT}, device_scale_factor=1.5) as page:
        page.set_content(body(site.mails()["several-interests"], "html"))
        page.screenshot(path=README_PICTURE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--readme", action="store_true", help="also renew the README's picture in docs/")
    arguments = parser.parse_args()
    shutil.rmtree(SHOTS, ignore_errors=True)
    SHOTS.mkdir(parents=True)
    with tempfile.TemporaryDirectory(prefix="paperboy-shots-") as folder, running_site(Path(folder)) as site:
        with browser_page() as page:
            shoot_mails(page, Path(folder))
            shoot_pages(page, site)
            shoot_desk(page, site)
        if arguments.readme:
            renew_readme_picture(site)
    print(f"{len(list(SHOTS.iterdir()))} pictures in var/shots/")  # noqa: T201


if __name__ == "__main__":
    main()
