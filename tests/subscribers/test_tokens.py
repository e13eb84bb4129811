"""Single-use links work once, for one purpose, for a while; and every link starts with PUBLIC_URL."""

import datetime as dt

import pytest

from subscribers import tokens
from subscribers.models import Token
from tests.factories import make_subscriber

CONFIRM, UNDO = Token.Purpose.CONFIRM, Token.Purpose.UNDO
NOW = dt.datetime(2026, 7, 1, 12, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)


@pytest.mark.django_db
def test_a_token_has_22_characters_and_is_not_in_the_database():
    token = tokens.issue(make_subscriber(), CONFIRM, NOW)

    assert len(token) == 22
    assert not Token.objects.filter(digest__contains=token).exists()
    assert Token.objects.get().digest != token


@pytest.mark.django_db
def test_a_token_is_found_with_its_reader():
    subscriber = make_subscriber()
    token = tokens.issue(subscriber, CONFIRM, NOW)

    found = tokens.find(token, CONFIRM, NOW)

    assert found is not None
    assert found.subscriber == subscriber


@pytest.mark.django_db
@pytest.mark.parametrize(("purpose", "hours"), [(CONFIRM, 72), (UNDO, 1)])
def test_a_token_ends_with_its_purposes_time(purpose, hours):
    token = tokens.issue(make_subscriber(), purpose, NOW)

    assert tokens.find(token, purpose, NOW + hours * HOUR - dt.timedelta(seconds=1))
    assert tokens.find(token, purpose, NOW + hours * HOUR) is None
    assert tokens.is_spent(token, purpose)


@pytest.mark.django_db
def test_a_token_for_one_purpose_is_none_for_another():
    token = tokens.issue(make_subscriber(), UNDO, NOW)

    assert tokens.find(token, CONFIRM, NOW) is None
    assert not tokens.is_spent(token, CONFIRM)


@pytest.mark.django_db
def test_a_forged_token_is_unknown():
    assert tokens.find("A" * 22, CONFIRM, NOW) is None
    assert not tokens.is_spent("A" * 22, CONFIRM)


@pytest.mark.django_db
def test_a_token_is_burnt_once():
    found = tokens.find(tokens.issue(make_subscriber(), CONFIRM, NOW), CONFIRM, NOW)
    assert found is not None

    assert [tokens.burn(found, NOW), tokens.burn(found, NOW)] == [True, False]


@pytest.mark.django_db
def test_a_token_whose_time_ran_out_after_it_was_found_is_not_burnt():
    found = tokens.find(tokens.issue(make_subscriber(), UNDO, NOW), UNDO, NOW)
    assert found is not None

    assert not tokens.burn(found, NOW + 2 * HOUR)


@pytest.mark.django_db
def test_burning_all_leaves_other_readers_links_alone():
    mine, yours = make_subscriber(), make_subscriber()
    token, other = tokens.issue(mine, CONFIRM, NOW), tokens.issue(yours, CONFIRM, NOW)

    tokens.burn_all(mine, NOW)

    assert tokens.find(token, CONFIRM, NOW) is None
    assert tokens.find(other, CONFIRM, NOW)


def test_a_link_starts_with_the_public_url(settings):
    settings.PUBLIC_URL = "https://papers.example.org"

    assert tokens.link("preferences", "abc") == "https://papers.example.org/m/abc/preferences"
