"""A reader's way in a phone's browser: sign up, confirm, choose, leave, come back."""

import re

import pytest
from django.core import mail
from django.utils import timezone
from playwright.sync_api import Page, expect

from newsletter.providers import Provider
from subscribers import emails, tokens
from subscribers.models import Subscriber, Token
from tests.browser.conftest import faults
from tests.factories import make_mail, make_subscriber

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def deliver_mail() -> str:
    """Send what is due, as the next round would; return the newest mail's text."""
    with Provider() as provider:
        emails.send_due(timezone.now(), provider.send)
    return str(mail.outbox[-1].body)


def link_in(text: str, path: str) -> str:
    (link,) = set(re.findall(rf"https?://\S+/{path}\S*", text))
    return str(link)


def fill_and_wait(page: Page, address: str, interests: str) -> None:
    page.get_by_label("Your e-mail address").fill(address)
    page.get_by_label("What you are interested in").fill(interests)
    page.wait_for_timeout(2100)  # the least time in which a person fills in the form


def heading(page: Page, text: str) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text(text)
    assert faults(page) == []


def test_from_the_form_to_the_first_mail_and_back_again(page):
    page.goto("/subscribe")
    heading(page, "Subscribe")
    fill_and_wait(page, "ada@example.org", "diffusion models\nrobot -surgery")
    page.get_by_role("button", name="Subscribe").click()
    heading(page, "Check your inbox")
    reader = Subscriber.objects.get()
    assert (reader.state, reader.timezone) == ("pending", "Europe/Berlin")

    page.goto(link_in(deliver_mail(), "c/"))
    heading(page, "One click, and you are in")
    page.get_by_role("button", name="Confirm my subscription").click()
    heading(page, "You are subscribed")
    page.reload()  # posts again
    heading(page, "This link does not work any more")

    welcome = deliver_mail()
    page.goto(link_in(welcome, "m/"))
    heading(page, "Your preferences")
    expect(page.get_by_label("Interests")).to_have_value("diffusion models\nrobot -surgery")
    page.get_by_label("Interests").fill('* diffusion models\n"chain of thought"')
    page.get_by_label("Never show me").fill("surveys")
    page.get_by_label("once a week").check()
    page.get_by_label("Hour").select_option("06:00")
    page.get_by_label("What orders your papers").fill("70")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status")).to_contain_text("Saved")
    heading(page, "Your preferences")
    expect(page.get_by_label("Interests")).to_have_value('* diffusion models\n"chain of thought"')
    reader.refresh_from_db()
    assert (reader.frequency, reader.hour, reader.trending_weight) == ("weekly", 6, 70)

    page.goto(link_in(welcome, "u/"))
    heading(page, "Unsubscribe")
    page.get_by_role("button", name="Unsubscribe").click()
    heading(page, "You are unsubscribed")
    reader.refresh_from_db()
    assert reader.state == "unsubscribed"
    page.get_by_role("button", name="Stay subscribed").click()
    heading(page, "You are still subscribed")
    reader.refresh_from_db()
    assert reader.state == "active"
    assert page.context.cookies() == []


def test_an_error_is_where_the_reader_looks_and_loses_nothing(page):
    page.goto("/")
    fill_and_wait(page, "ada@example.org", f'agents\nfoo "bar\nauthor:{"x" * 60}:y {"foo:bar" * 20}')
    page.get_by_role("button", name="Subscribe").click()

    expect(page.get_by_role("alert")).to_be_focused()
    assert faults(page) == []
    expect(page.get_by_label("Your e-mail address")).to_have_value("ada@example.org")
    page.get_by_role("alert").get_by_role("link").first.click()
    expect(page.get_by_label("What you are interested in")).to_be_focused()
    expect(page.get_by_label("What you are interested in")).to_have_accessible_description(re.compile("never closed"))


def test_an_error_in_the_preferences_loses_nothing(page):
    page.goto("/subscribe")
    fill_and_wait(page, "ada@example.org", "agents")
    page.get_by_role("button", name="Subscribe").click()
    page.goto(link_in(deliver_mail(), "c/"))
    page.get_by_role("button", name="Confirm my subscription").click()
    page.goto(link_in(deliver_mail(), "m/"))

    page.get_by_label("Interests").fill('"agents')
    page.get_by_label("Time zone").fill("Mars/Olympus")
    page.get_by_role("button", name="Save").click()

    heading(page, "Your preferences")
    expect(page.get_by_role("alert")).to_be_focused()
    expect(page.get_by_label("Interests")).to_have_value('"agents')
    expect(page.get_by_label("Time zone")).to_have_accessible_description(re.compile("Europe/Berlin"))


def test_pages_off_the_way_lead_back_to_it(page):
    reader = make_subscriber(state="unsubscribed")
    old_mail = make_mail(reader)

    page.goto(f"/c/{'A' * 22}")
    heading(page, "This link does not work")
    page.goto(f"/m/{old_mail.token}/preferences")
    heading(page, "You are not subscribed")
    page.goto("/undo/" + tokens.issue(reader, Token.Purpose.UNDO))
    heading(page, "Stay subscribed?")


def test_a_form_on_somebody_elses_page_signs_nobody_up(page, live_server):
    fields = '<input name="email" value="ada@example.org"><button>Win a prize</button>'
    trap = f'<form method="post" action="{live_server.url}/subscribe">{fields}</form>'
    page.route("http://elsewhere.localhost/", lambda route: route.fulfill(content_type="text/html", body=trap))

    page.goto("http://elsewhere.localhost/")
    page.get_by_role("button").click()

    heading(page, "Please sign up on our own page")
    assert not Subscriber.objects.exists()
