"""A source gets few, polite requests, and can neither hang us, fill us up nor send us elsewhere."""

import gzip
import re
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from werkzeug import Request, Response

from papers import __version__
from papers.sources.client import LARGEST_ANSWER, Client, Kept, SourceError, user_agent


@pytest.fixture
def source(httpserver):
    """A client of the test server that does not wait between tries."""
    with Client(httpserver.url_for(""), backoff_s=0) as client:
        yield client


def test_it_says_who_we_are_and_whom_to_write_to(httpserver, source, settings):
    settings.PUBLIC_URL = "https://papers.example.org"
    settings.OPERATOR_CONTACT = "ops@example.org\r\nX-Evil: 1"
    agent = f"Paperboy/{__version__} (+https://papers.example.org; ops@example.org X-Evil: 1)"
    assert user_agent() == agent

    httpserver.expect_request("/list", headers={"User-Agent": agent}, query_string={"p": "0"}).respond_with_data("[]")
    with Client(httpserver.url_for("")) as client:
        assert client.get("/list", {"p": "0"}) == b"[]"


def test_the_version_is_the_projects():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())

    assert project["project"]["version"] == __version__


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_a_temporary_answer_is_tried_again(httpserver, source, status):
    httpserver.expect_ordered_request("/list").respond_with_data("", status=status)
    httpserver.expect_ordered_request("/list").respond_with_data("[1]")

    assert source.get("/list", {}) == b"[1]"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 501])
def test_a_final_answer_is_not_asked_for_twice(httpserver, source, status):
    httpserver.expect_request("/list").respond_with_data("", status=status)

    with pytest.raises(SourceError, match=f"answered {status}"):
        source.get("/list", {})
    assert len(httpserver.log) == 1


def test_it_gives_up_after_three_tries(httpserver, source):
    httpserver.expect_request("/list").respond_with_data("", status=503)

    with pytest.raises(SourceError, match="answered 503 SERVICE UNAVAILABLE"):
        source.get("/list", {})
    assert len(httpserver.log) == 3


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "120"}, 120),
        ({"RateLimit": '"api";r=0;t=77'}, 77),
        ({"Retry-After": "90", "RateLimit": '"api";r=0;t=77'}, 90),
        ({"Retry-After": "Wed, 01 Jan 2020 00:00:00 GMT"}, 0),
        ({"Retry-After": "soon"}, None),
        ({}, None),
    ],
)
def test_a_source_that_asks_for_patience_says_for_how_long(httpserver, headers, seconds):
    httpserver.expect_request("/list").respond_with_data("", status=429, headers=headers)

    with Client(httpserver.url_for(""), attempts=1) as client, pytest.raises(SourceError) as caught:
        client.get("/list", {})

    assert caught.value.retry_after_s == seconds


def test_a_wait_longer_than_half_a_minute_is_left_to_the_next_tick(httpserver, source):
    httpserver.expect_request("/list").respond_with_data("", status=429, headers={"Retry-After": "31"})

    with pytest.raises(SourceError, match="429"):
        source.get("/list", {})
    assert len(httpserver.log) == 1


def test_a_redirect_on_the_same_server_is_followed(httpserver, source):
    httpserver.expect_request("/old").respond_with_data("", status=301, headers={"Location": "/new"})
    httpserver.expect_request("/new").respond_with_data("[]")

    assert source.get("/old", {}) == b"[]"


@pytest.mark.parametrize(
    "place", ["http://127.0.0.2:9/list", "https://localhost/list", "//evil.example/list", "file:///etc/passwd"]
)
def test_a_redirect_elsewhere_is_refused(httpserver, source, place):
    httpserver.expect_request("/list").respond_with_data("", status=302, headers={"Location": place})

    with pytest.raises(SourceError, match="change its address in the settings"):
        source.get("/list", {})
    assert len(httpserver.log) == 1


def test_redirects_in_circles_end(httpserver, source):
    httpserver.expect_request("/list").respond_with_data("", status=302, headers={"Location": "/list"})

    with pytest.raises(SourceError, match="in circles"):
        source.get("/list", {})


def test_an_answer_is_bounded_after_unpacking(httpserver, source):
    bomb = gzip.compress(b"[" + b" " * (LARGEST_ANSWER + 1))
    httpserver.expect_request("/list").respond_with_data(bomb, headers={"Content-Encoding": "gzip"})

    with pytest.raises(SourceError, match="more than 16 MiB"):
        source.get("/list", {})


def test_an_answer_that_breaks_off_is_tried_again(httpserver, source):
    answers = iter([Response(iter([b"[1"]), headers={"Content-Length": "400"}), Response(b"[1]")])
    httpserver.expect_request("/list").respond_with_handler(lambda _: next(answers))

    assert source.get("/list", {}) == b"[1]"


def test_a_budget_ends_a_slow_answer(httpserver):
    def drip(request: Request) -> Response:
        def pieces():
            for _ in range(100):
                yield b" " * 70_000
                time.sleep(0.05)

        return Response(pieces())

    httpserver.expect_request("/list").respond_with_handler(drip)
    with Client(httpserver.url_for(""), budget_s=0.4, backoff_s=0) as client:
        with pytest.raises(SourceError, match=r"too slowly|did not answer in the time given|could not be read"):
            client.get("/list", {})
        with pytest.raises(SourceError, match=r"did not answer in the time given|could not be read"):
            client.get("/list", {})


def test_nobody_there_is_a_short_sentence():
    with Client("http://127.0.0.1:1", backoff_s=0) as client, pytest.raises(SourceError) as caught:
        client.get("/list", {})

    assert re.fullmatch(r"http://127\.0\.0\.1:1 could not be read: .*refused.*", str(caught.value))


# Several servers of one source ---------------------------------------------------------------------


def test_each_configured_server_may_be_asked_and_no_other(httpserver):
    httpserver.expect_request("/a/rss").respond_with_data("feed")
    address = httpserver.url_for("").rstrip("/")
    with Client("http://127.0.0.1:1", f"{address}/a/") as client:
        assert client.get(f"{address}/a/rss", {}) == b"feed"

        with pytest.raises(SourceError, match="change its address in the settings"):
            client.get("http://127.0.0.2:9/rss", {})


def test_what_a_source_must_be_told_goes_with_every_request(httpserver):
    httpserver.expect_request("/list", headers={"Authorization": "Bearer secret"}).respond_with_data("[]")

    with Client(httpserver.url_for(""), headers={"Authorization": "Bearer secret"}) as client:
        assert client.get("/list", {}) == b"[]"


def test_a_refusal_is_given_with_the_sources_own_words(httpserver, source):
    body = "<?xml version='1.0'?><feed><title>Error</title><summary>incorrect id format for abc</summary></feed>"
    httpserver.expect_request("/list").respond_with_data(body, status=400)

    with pytest.raises(SourceError, match="answered 400 BAD REQUEST: Error incorrect id format for abc"):
        source.get("/list", {})


# Only what has changed -----------------------------------------------------------------------------


class Shelf(dict[str, Kept]):
    """A memory that lasts as long as the test."""

    def recall(self, url: str) -> Kept | None:
        return self.get(url)

    def keep(self, url: str, kept: Kept) -> None:
        self[url] = kept


@pytest.mark.parametrize(
    ("sent", "asked"),
    [
        ({"ETag": '"v1"'}, {"If-None-Match": '"v1"'}),
        (
            {"Last-Modified": "Wed, 01 Jul 2026 08:00:00 GMT"},
            {"If-Modified-Since": "Wed, 01 Jul 2026 08:00:00 GMT"},
        ),
    ],
)
def test_an_answer_that_has_not_changed_is_the_one_that_is_known(httpserver, sent, asked):
    httpserver.expect_oneshot_request("/list").respond_with_data("[1]", headers=sent)
    httpserver.expect_oneshot_request("/list", headers=asked).respond_with_data("", status=304)
    shelf = Shelf()

    for _ in range(2):
        with Client(httpserver.url_for(""), memory=shelf) as client:
            assert client.get("/list", {"p": "0"}, is_remembered=True) == b"[1]"
    assert len(httpserver.log) == 2


def test_an_answer_that_has_changed_takes_the_place_of_the_old_one(httpserver):
    shelf = Shelf()
    for version, body in (("v1", "[1]"), ("v2", "[2]")):
        httpserver.expect_oneshot_request("/list").respond_with_data(body, headers={"ETag": version})
        with Client(httpserver.url_for(""), memory=shelf) as client:
            assert client.get("/list", {}, is_remembered=True) == body.encode()

    assert [kept.etag for kept in shelf.values()] == ["v2"]


@pytest.mark.parametrize("headers", [{}, {"ETag": "v1", "Cache-Control": "private, no-store"}])
def test_what_cannot_be_asked_about_again_is_not_kept(httpserver, headers):
    httpserver.expect_request("/list").respond_with_data("[1]", headers=headers)
    shelf = Shelf()

    with Client(httpserver.url_for(""), memory=shelf) as client:
        client.get("/list", {}, is_remembered=True)
        client.get("/list", {})

    assert shelf == {}


def test_no_change_of_something_that_is_not_known_is_an_error(httpserver, source):
    httpserver.expect_request("/list").respond_with_data("", status=304)

    with pytest.raises(SourceError, match="answered 304"):
        source.get("/list", {})


# Patience ------------------------------------------------------------------------------------------


def test_no_request_is_made_that_the_source_said_it_would_refuse(httpserver, source):
    used_up = {"RateLimit": '"api";r=0;t=120'}
    httpserver.expect_request("/list").respond_with_data("[1]", headers=used_up)
    source.get("/list", {})

    with pytest.raises(SourceError, match="allows us no more requests for now") as caught:
        source.get("/list", {})

    assert len(httpserver.log) == 1
    assert caught.value.retry_after_s == pytest.approx(120, abs=5)


def test_a_limit_that_is_not_reached_delays_nothing(httpserver, source):
    httpserver.expect_ordered_request("/list").respond_with_data("", 503, headers={"RateLimit": '"api";r=7;t=290'})
    httpserver.expect_ordered_request("/list").respond_with_data("[1]", headers={"RateLimit": '"api";r=6;t=290'})

    assert source.get("/list", {}) == b"[1]"


def test_a_source_that_must_cool_down_is_not_asked_again_at_once(httpserver):
    httpserver.expect_request("/list").respond_with_data("", status=429)

    with Client(httpserver.url_for(""), cool_down_s=90) as client, pytest.raises(SourceError) as caught:
        client.get("/list", {})

    assert len(httpserver.log) == 1
    assert caught.value.retry_after_s is not None
    assert 30 <= caught.value.retry_after_s <= 150


def test_every_request_waits_for_its_turn_and_gives_it_back(httpserver):
    held: list[str] = []

    class Turn:
        @contextmanager
        def turn(self, _: float) -> Iterator[None]:
            held.append("taken")
            try:
                yield
            finally:
                held.append("given back")

    def answer(request: Request) -> Response:
        held.append(f"asked, connection {request.headers['Connection']}")
        return Response("", status=503) if len(held) == 2 else Response("[1]")

    httpserver.expect_request("/list").respond_with_handler(answer)
    with Client(httpserver.url_for(""), backoff_s=0, pace=Turn()) as client:
        assert client.get("/list", {}) == b"[1]"

    assert held == ["taken", "asked, connection close", "given back"] * 2
