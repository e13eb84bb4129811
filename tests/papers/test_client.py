"""A source gets few, polite requests, and can neither hang us, fill us up nor send us elsewhere."""

import gzip
import re
import time
import tomllib
from pathlib import Path

import pytest
from werkzeug import Request, Response

from papers import __version__
from papers.sources.client import LARGEST_ANSWER, Client, SourceError, user_agent


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
