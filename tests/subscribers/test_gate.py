"""The gate lets no one cause many mails, and keeps no address."""

import datetime as dt

import pytest

from subscribers.models import Attempt
from subscribers.signup import LIMITS, TooManyRequestsError, admit, network_of

NOW = dt.datetime(2026, 7, 1, 12, 20, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
Scope = Attempt.Scope


def limit(monkeypatch, **limits):
    for scope, value in limits.items():
        monkeypatch.setitem(LIMITS, Scope(scope), value)


@pytest.mark.django_db
def test_an_address_gets_three_mails_an_hour_and_the_fourth_is_not_sent():
    asked = [admit("Ada@Example.org", f"10.0.{n}.0/24", NOW) for n in range(4)]

    assert asked == [True, True, True, False]


@pytest.mark.django_db
def test_case_and_spaces_do_not_make_another_address():
    for spelling in ("ada@example.org", "ADA@example.org", " ada@example.org "):
        assert admit(spelling, None, NOW)

    assert not admit("Ada@EXAMPLE.org", None, NOW)


@pytest.mark.django_db
def test_the_next_hour_starts_anew():
    for _ in range(4):
        admit("ada@example.org", None, NOW)

    assert admit("ada@example.org", None, NOW + HOUR)


@pytest.mark.django_db
@pytest.mark.parametrize("scope", ["network", "domain", "total"])
def test_over_a_limit_that_is_not_the_addresss_the_visitor_is_told_how_long_to_wait(scope, monkeypatch):
    limit(monkeypatch, **{scope: 2})
    for n in range(2):
        assert admit(f"reader{n}@example.org", "10.0.0.0/24", NOW)

    with pytest.raises(TooManyRequestsError) as refused:
        admit("reader9@example.org", "10.0.0.0/24", NOW)

    assert refused.value.retry_after_s == 40 * 60


@pytest.mark.django_db
def test_a_network_over_its_limit_does_not_use_up_the_total(monkeypatch):
    limit(monkeypatch, network=1, total=2)
    admit("a@example.org", "10.0.0.0/24", NOW)
    for n in range(5):
        with pytest.raises(TooManyRequestsError):
            admit(f"b{n}@example.org", "10.0.0.0/24", NOW)

    assert admit("c@example.org", "10.0.1.0/24", NOW)


@pytest.mark.django_db
def test_an_address_over_its_limit_does_not_use_up_its_domains(monkeypatch):
    limit(monkeypatch, address=1, domain=2)
    for _ in range(5):
        admit("a@example.org", None, NOW)

    assert admit("b@example.org", None, NOW)


@pytest.mark.django_db
def test_the_operator_is_of_no_network(monkeypatch):
    limit(monkeypatch, network=1)

    assert all(admit(f"reader{n}@example.org", None, NOW) for n in range(5))
    assert not Attempt.objects.filter(scope=Scope.NETWORK).exists()


@pytest.mark.django_db
def test_the_counters_name_nobody():
    admit("ada@example.org", "10.0.0.0/24", NOW)

    keys = list(Attempt.objects.values_list("key", flat=True))
    assert len(keys) == 4
    assert all(len(key) == 64 and "ada" not in key for key in keys)
    assert set(Attempt.objects.values_list("hour", flat=True)) == {NOW.replace(minute=0)}


@pytest.mark.django_db
def test_a_counter_is_one_row_and_one_statement(django_assert_num_queries):
    for _ in range(3):
        with django_assert_num_queries(4):
            admit("ada@example.org", "10.0.0.0/24", NOW)

    assert set(Attempt.objects.values_list("count", flat=True)) == {3}
    assert Attempt.objects.count() == 4


@pytest.mark.parametrize(
    ("proxies", "forwarded", "expected"),
    [
        (0, "", "192.0.2.0/24"),
        (0, "198.51.100.7", "192.0.2.0/24"),  # anybody may send this header
        (1, "198.51.100.7", "198.51.100.0/24"),
        (1, "203.0.113.9, 198.51.100.7", "198.51.100.0/24"),  # the left one is claimed
        (2, "203.0.113.9, 198.51.100.7", "203.0.113.0/24"),
        (2, "198.51.100.7", "192.0.2.0/24"),  # did not come through both
        (1, "", "192.0.2.0/24"),
        (1, "2001:db8:1:2::3", "2001:db8:1::/48"),
        (1, "::ffff:198.51.100.7", "198.51.100.0/24"),
        (1, "fe80::1%eth0", "fe80::/48"),
        (1, "not an address", ""),
    ],
)
def test_a_network_is_told_by_the_proxies_that_are_ours(proxies, forwarded, expected, settings):
    settings.TRUSTED_PROXIES = proxies
    meta = {"REMOTE_ADDR": "192.0.2.1"} | ({"HTTP_X_FORWARDED_FOR": forwarded} if forwarded else {})

    assert network_of(meta) == expected


def test_a_request_over_a_socket_has_no_network():
    assert network_of({"REMOTE_ADDR": ""}) == ""
