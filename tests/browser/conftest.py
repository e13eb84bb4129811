"""A phone's browser on the site, and what is wrong with the page that it shows."""

from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, ViewportSize

from tests.mail_checks import browser_page

PHONE: ViewportSize = {"width": 375, "height": 800}
NARROWEST: ViewportSize = {"width": 320, "height": 800}


@pytest.fixture
def page(live_server, settings, monkeypatch) -> Iterator[Page]:
    """A page of a phone in Berlin; addresses without a host are those of the site."""
    # Playwright keeps an event loop in this thread, and Django asks not to be called beside one.
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    settings.PUBLIC_URL = live_server.url
    with browser_page(viewport=PHONE, timezone_id="Europe/Berlin", base_url=live_server.url) as page:
        page.set_default_timeout(10_000)
        yield page


def faults(page: Page) -> list[str]:
    """Return what stands in a reader's way on the page: axe's findings in light and dark, and sideways scrolling.

    Contrast that axe could not tell counts as a finding.
    """
    found = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        response = Axe().run(page).response
        unsure = [rule for rule in response["incomplete"] if rule["id"] == "color-contrast"]
        found += [
            f"{page.url} {scheme} {rule['id']} {node['target']}"
            for rule in response["violations"] + unsure
            for node in rule["nodes"]
        ]
    page.set_viewport_size(NARROWEST)
    width = page.evaluate("document.documentElement.scrollWidth")
    if width > NARROWEST["width"]:
        found.append(f"{page.url} is {width} pixels wide on a screen of {NARROWEST['width']}")
    page.set_viewport_size(PHONE)
    return found
