"""One polite HTTP session with one source: its own agent, bounded in size, time, tries and where it goes."""

import email.utils
import math
import random
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from django.conf import settings

from papers import __version__
from papers.text import readable

CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 20.0  # between two pieces of an answer
LONGEST_ANSWER_S = 60.0
LONGEST_WAIT_S = 30.0  # a source that wants more patience is asked again by the next tick
LONGEST_TURN_WAIT_S = 180.0  # while other processes of ours talk to the source
LARGEST_ANSWER = 16 * 2**20  # bytes, unpacked; a page of 100 papers takes about one MiB
LARGEST_EXPLANATION = 2**12  # bytes of an error's body that are looked at
LONGEST_URL = 1_000  # of an address whose answer is remembered
REDIRECTS = 3
TEMPORARY = frozenset({408, 425, 429, 500, 502, 503, 504})
BUSY = frozenset({429, 503})


class SourceError(Exception):
    """A source could not be read; the message tells the operator what happened.

    ``retry_after_s`` is how long the source asked us to leave it alone, None where it did not.
    """

    def __init__(self, message: str, *, is_temporary: bool = False, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.is_temporary = is_temporary
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer and what its source needs to hear to say that it has not changed."""

    etag: str
    last_modified: str
    body: bytes


class Memory(Protocol):
    """Where answers are kept from one run to the next."""

    def recall(self, url: str) -> Kept | None: ...

    def keep(self, url: str, kept: Kept) -> None: ...


class Pace(Protocol):
    """What several processes share, so that together they ask no faster than the source allows."""

    def turn(self, longest_wait_s: float) -> AbstractContextManager[None]: ...


class Client:
    """Fetches pages below the addresses it is given; use it as a context manager, or close it.

    ``attempts`` is the number of tries of each request, ``budget_s`` the time of all requests
    together (None: no limit), ``backoff_s`` the wait before the second try, doubled from then on,
    ``cool_down_s`` how long to leave a source alone that is too busy and does not say until when.
    """

    def __init__(  # noqa: PLR0913 - each is named, and most callers give one or two
        self,
        *base_urls: str,
        attempts: int = 3,
        budget_s: float | None = None,
        backoff_s: float = 1.0,
        cool_down_s: float = 0.0,
        read_timeout_s: float = READ_TIMEOUT_S,
        headers: Mapping[str, str] | None = None,
        pace: Pace | None = None,
        memory: Memory | None = None,
    ) -> None:
        self.base_urls = [url.rstrip("/") for url in base_urls]
        self.attempts = attempts
        self.backoff_s = backoff_s
        self.cool_down_s = cool_down_s
        self.read_timeout_s = read_timeout_s
        self.pace = pace
        self.memory = memory
        self.give_up_at = None if budget_s is None else time.monotonic() + budget_s
        self.rested_at = 0.0
        self.session = requests.Session()
        self.session.headers.update({"User-Agent": user_agent(), **(headers or {})})
        if pace:  # one connection at a time: none may stay open while somebody else has the turn
            self.session.headers["Connection"] = "close"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self.session.close()

    def get(self, place: str, params: Mapping[str, str], *, is_remembered: bool = False) -> bytes:
        """Return the body of ``place``; raise ``SourceError`` after the last try.

        ``place`` is a path below the first address, or an address below any of them. With
        ``is_remembered`` an answer that has not changed since the last time is not sent again.
        """
        url = f"{self.base_urls[0]}{place}" if place.startswith("/") else place
        for attempt in range(self.attempts):
            try:
                return self._page(url, params, self.memory if is_remembered else None)
            except SourceError as error:
                wait_s = max(error.retry_after_s or 0.0, self.backoff_s * 2**attempt)
                is_last = attempt + 1 == self.attempts
                if is_last or not error.is_temporary or wait_s > min(LONGEST_WAIT_S, self._time_left_s()):
                    raise
                # A crowd that was sent away together must not come back together.
                time.sleep(wait_s * random.uniform(1.0, 1.25))  # noqa: S311 - nothing secret
        raise ValueError("a client needs at least one attempt")

    def _page(self, url: str, params: Mapping[str, str], memory: Memory | None) -> bytes:
        whole_url = str(requests.Request("GET", url, params=params).prepare().url)
        if memory is None or len(whole_url) > LONGEST_URL:
            return self._body_of(whole_url, None)[0]
        known = memory.recall(whole_url)
        body, headers = self._body_of(whole_url, known)
        etag, last_modified = headers.get("ETag", ""), headers.get("Last-Modified", "")
        if (etag or last_modified) and "no-store" not in headers.get("Cache-Control", ""):
            memory.keep(whole_url, Kept(etag[:200], last_modified[:200], body))
        return body

    def _body_of(self, url: str, known: Kept | None) -> tuple[bytes, Mapping[str, str]]:
        """Return the body and the headers of an answer; of one that has not changed, the body that is known."""
        for _ in range(REDIRECTS + 1):
            self._refuse_elsewhere(url)
            with self._answer(url, known) as response:
                if not response.is_redirect:
                    if response.status_code == requests.codes.not_modified and known:
                        return known.body, {}
                    self._check_status(response)
                    return self._read(response), response.headers
                url = urljoin(response.url, response.headers["Location"])
        raise SourceError(f"{_host(url)} redirects in circles")

    @contextmanager
    def _answer(self, url: str, known: Kept | None) -> Iterator[requests.Response]:
        """Send one request when it is our turn, and hold the turn until its answer is read."""
        self._rest(url)
        conditions = {"If-None-Match": known.etag, "If-Modified-Since": known.last_modified} if known else {}
        with self.pace.turn(min(LONGEST_TURN_WAIT_S, self._time_left_s())) if self.pace else nullcontext():
            left_s = self._time_left_s()
            timeout = (min(CONNECT_TIMEOUT_S, left_s), min(self.read_timeout_s, left_s))
            headers = {name: value for name, value in conditions.items() if value}
            try:
                with self.session.get(
                    url, headers=headers, timeout=timeout, stream=True, allow_redirects=False
                ) as response:
                    self._note_rate_limit(response.headers)
                    yield response
            except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
                raise SourceError(f"{_host(url)} could not be read: {_cause(error)}", is_temporary=True) from error

    def _rest(self, url: str) -> None:
        """Wait while the source's own count of our requests stands at its limit."""
        wait_s = self.rested_at - time.monotonic()
        if wait_s > min(LONGEST_WAIT_S, self._time_left_s()):
            raise SourceError(f"{_host(url)} allows us no more requests for now", retry_after_s=wait_s)
        if wait_s > 0:
            time.sleep(wait_s)

    def _note_rate_limit(self, headers: Mapping[str, str]) -> None:
        left, reset_s = _rate_limit(headers)
        if left == 0:
            self.rested_at = time.monotonic() + reset_s

    def _time_left_s(self) -> float:
        """Return the seconds left for all requests; raise ``SourceError`` when there are none."""
        if self.give_up_at is None:
            return math.inf
        left_s = self.give_up_at - time.monotonic()
        if left_s <= 0:
            raise SourceError(f"{_host(self.base_urls[0])} did not answer in the time given")
        return left_s

    def _refuse_elsewhere(self, url: str) -> None:
        """Let requests and redirects go to the configured servers only, so that no answer sends us elsewhere."""
        if urlsplit(url)[:2] not in {urlsplit(base)[:2] for base in self.base_urls}:
            raise SourceError(
                f"{_host(self.base_urls[0])} redirects to {readable(url)[:200]}; if it has moved, change its address"
                " in the settings"
            )

    def _read(self, response: requests.Response) -> bytes:
        ends_at = time.monotonic() + min(LONGEST_ANSWER_S, self._time_left_s())
        body = bytearray()
        # Whatever has arrived is taken: waiting for a full piece, a drip of bytes would outlast any limit.
        while piece := response.raw.read1(2**16, decode_content=True):
            body += piece
            if len(body) > LARGEST_ANSWER:
                raise SourceError(f"{_host(response.url)} sent more than {LARGEST_ANSWER // 2**20} MiB")
            if time.monotonic() > ends_at:
                raise SourceError(f"{_host(response.url)} sent its answer too slowly", is_temporary=True)
        return bytes(body)

    def _check_status(self, response: requests.Response) -> None:
        status = response.status_code
        if status == requests.codes.ok:
            return
        reason = f"{_host(response.url)} answered {status} {readable(response.reason or '')}".rstrip()
        asked_s = _retry_after_s(status, response.headers)
        if asked_s is None and status in BUSY and self.cool_down_s:
            asked_s = self.cool_down_s * random.uniform(1 / 3, 5 / 3)  # noqa: S311 - spreads requests, no more
        said = "" if status in TEMPORARY else _explanation(response)
        raise SourceError(
            f"{reason}: {said}" if said else reason, is_temporary=status in TEMPORARY, retry_after_s=asked_s
        )


def user_agent() -> str:
    """Return who we are and where a source's people can complain."""
    contact = "; ".join(filter(None, [f"+{settings.PUBLIC_URL}", readable(settings.OPERATOR_CONTACT)]))
    return f"Paperboy/{__version__} ({contact})".encode("ascii", "replace").decode()


def _host(url: str) -> str:
    return "://".join(urlsplit(url)[:2])


def _retry_after_s(status: int, headers: Mapping[str, str]) -> float | None:
    """Return the seconds that ``Retry-After``, or a ``RateLimit`` that is used up, asks for."""
    wanted = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"\d{1,6}", wanted, re.ASCII):
        return float(wanted)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(wanted).timestamp() - time.time())
    except (ValueError, OverflowError):
        left, reset_s = _rate_limit(headers)
        return reset_s if reset_s and (left == 0 or status == requests.codes.too_many_requests) else None


def _rate_limit(headers: Mapping[str, str]) -> tuple[int | None, float]:
    """Return the requests that are left, None where it is not said, and the seconds until there are more.

    Hugging Face writes ``RateLimit: "api";r=0;t=17``.
    """
    said = headers.get("RateLimit", "")
    left, reset = re.search(r"\br=(\d{1,9})", said, re.ASCII), re.search(r"\bt=(\d{1,6})", said, re.ASCII)
    return int(left[1]) if left else None, float(reset[1]) if reset else 0.0


def _explanation(response: requests.Response) -> str:
    """Return the first words of an error's body, without its tags."""
    try:
        start = next(response.iter_content(LARGEST_EXPLANATION), b"")
    except requests.RequestException:
        return ""
    text = re.sub(r"<!--.*?-->|<[^<>]*>", " ", start.decode("utf-8", "replace"), flags=re.DOTALL)
    return readable(text)[:200]


def _cause(error: Exception) -> str:
    """Return the innermost reason in one readable line; the outer ones repeat addresses and objects."""
    inner: BaseException = error
    while inner.__context__ is not None or inner.__cause__ is not None:
        inner = inner.__cause__ or inner.__context__ or inner
    return readable(str(inner) or type(inner).__name__)[:200]
