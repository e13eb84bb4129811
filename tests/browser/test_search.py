"""Searching on a phone: what is found can be read, in light and dark, without a script."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import faults
from tests.factories import make_paper

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_from_the_box_in_the_header_to_a_paper(page):
    make_paper(title="Graph learning", abstract="It is about graphs.")
    make_paper(title="On birds", abstract="They sing. We use graph learning.")
    page.goto("/")
    page.get_by_role("searchbox", name="Search all papers").fill("graph learning")
    page.get_by_role("searchbox", name="Search all papers").press("Enter")

    expect(page.get_by_role("heading", level=1)).to_have_text("Papers for graph learning")
    expect(page.locator("mark").nth(1)).to_have_text("graph learning")
    assert faults(page) == []

    page.get_by_role("link", name="On birds").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("On birds")


@pytest.mark.parametrize(
    ("address", "heading"),
    [
        ("/search", "Search all papers"),
        ("/search?q=robot+foo:bar", "Search all papers"),
        ("/search?q=" + "z" * 190, "Papers for " + "z" * 190),
    ],
)
def test_the_page_can_be_read_when_it_has_nothing_to_show(page, address, heading):
    page.goto(address)

    expect(page.get_by_role("heading", level=1)).to_have_text(heading)
    assert faults(page) == []
