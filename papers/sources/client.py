"""One polite HTTP session with one source: its own agent, bounded in size, time, tries and where it goes."""

import email.utils
import re
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Self
from urllib.parse import urljoin, urlsplit

import requests
from django.conf import settings

from papers import __version__
from papers.text import readable

CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 20.0  # between two pieces of an answer
LONGEST_ANSWER_S = 60.0
LONGEST_WAIT_S = 30.0  # a source that wants more patience is asked again by the next tick
LARGEST_ANSWER = 16 * 2**20  # bytes, unpacked; a page of 100 papers takes about one MiB
REDIRECTS = 3
TEMPORARY = frozenset({408, 425, 429, 500, 502, 503, 504})


class SourceError(Exception):
    """A source could not be read; the message tells the operator what happened.

    ``retry_after_s`` is how long the source asked us to leave it alone, None where it did not.
    """

    def __init__(self, message: str, *, is_temporary: bool = False, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.is_temporary = is_temporary
        self.retry_after_s = retry_after_s


class Client:
    """Fetches pages below one base address; use it as a context manager, or close it.

    ``attempts`` is the number of tries of each request, ``budget_s`` the time of all requests
    together (None: no limit), ``backoff_s`` the wait before the second try, doubled from then on.
    """

    def __init__(
        self, base_url: str, *, attempts: int = 3, budget_s: float | None = None, backoff_s: float = 1.0
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self.attempts = attempts
        self.backoff_s = backoff_s
        self.give_up_at = None if budget_s is None else time.monotonic() + budget_s
        self.session = requests.Session()
        self.session.headers["User-Agent"] = user_agent()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self.session.close()

    def get(self, path: str, params: Mapping[str, str]) -> bytes:
        """Return the body of ``path`` below the base address; raise ``SourceError`` after the last try."""
        for attempt in range(self.attempts):
            try:
                return self._body_of(self.base_url + path, params)
            except SourceError as error:
                wait_s = max(error.retry_after_s or 0.0, self.backoff_s * 2**attempt)
                is_last = attempt + 1 == self.attempts
                if is_last or not error.is_temporary or wait_s > min(LONGEST_WAIT_S, self._time_left_s()):
                    raise
                time.sleep(wait_s)
        raise ValueError("a client needs at least one attempt")

    def _body_of(self, url: str, params: Mapping[str, str]) -> bytes:
        try:
            for _ in range(REDIRECTS + 1):
                with self._answer(url, params) as response:
                    if not response.is_redirect:
                        _check_status(response)
                        return self._read(response)
                    url, params = self._next_place(response), {}
        except requests.RequestException as error:
            raise SourceError(f"{self.base_url} could not be read: {_cause(error)}", is_temporary=True) from error
        raise SourceError(f"{self.base_url} redirects in circles")

    def _answer(self, url: str, params: Mapping[str, str]) -> requests.Response:
        left_s = self._time_left_s()
        timeout = (min(CONNECT_TIMEOUT_S, left_s), min(READ_TIMEOUT_S, left_s))
        return self.session.get(url, params=params, timeout=timeout, stream=True, allow_redirects=False)

    def _time_left_s(self) -> float:
        """Return the seconds left for all requests; raise ``SourceError`` when there are none."""
        if self.give_up_at is None:
            return LONGEST_ANSWER_S
        left_s = self.give_up_at - time.monotonic()
        if left_s <= 0:
            raise SourceError(f"{self.base_url} did not answer in the time given")
        return left_s

    def _next_place(self, response: requests.Response) -> str:
        """Return where a redirect leads if that is the same server, so that no answer sends us elsewhere."""
        place = urljoin(response.url, response.headers["Location"])
        if urlsplit(place)[:2] != urlsplit(self.base_url)[:2]:
            raise SourceError(
                f"{self.base_url} redirects to {readable(place)[:200]}; if it has moved, change its address in the"
                " settings"
            )
        return place

    def _read(self, response: requests.Response) -> bytes:
        ends_at = time.monotonic() + min(LONGEST_ANSWER_S, self._time_left_s())
        body = bytearray()
        for piece in response.iter_content(2**16):
            body += piece
            if len(body) > LARGEST_ANSWER:
                raise SourceError(f"{self.base_url} sent more than {LARGEST_ANSWER // 2**20} MiB")
            if time.monotonic() > ends_at:
                raise SourceError(f"{self.base_url} sent its answer too slowly", is_temporary=True)
        return bytes(body)


def user_agent() -> str:
    """Return who we are and where a source's people can complain."""
    contact = "; ".join(filter(None, [f"+{settings.PUBLIC_URL}", readable(settings.OPERATOR_CONTACT)]))
    return f"Paperboy/{__version__} ({contact})".encode("ascii", "replace").decode()


def _check_status(response: requests.Response) -> None:
    if response.status_code != requests.codes.ok:
        host, reason = urlsplit(response.url).netloc, readable(response.reason or "")
        raise SourceError(
            f"{host} answered {response.status_code} {reason}".rstrip(),
            is_temporary=response.status_code in TEMPORARY,
            retry_after_s=_retry_after_s(response.headers),
        )


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that ``Retry-After``, or Hugging Face's ``RateLimit: "api";r=0;t=17``, asks for."""
    wanted = headers.get("Retry-After", "").strip()
    reset = re.search(r"\bt=(\d{1,6})", headers.get("RateLimit", ""), re.ASCII)
    if re.fullmatch(r"\d{1,6}", wanted, re.ASCII):
        return float(wanted)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(wanted).timestamp() - time.time())
    except (ValueError, OverflowError):
        return float(reset[1]) if reset else None


def _cause(error: requests.RequestException) -> str:
    """Return the innermost reason in one readable line; the outer ones repeat addresses and objects."""
    inner: BaseException = error
    while inner.__context__ is not None or inner.__cause__ is not None:
        inner = inner.__cause__ or inner.__context__ or inner
    return readable(str(inner) or type(inner).__name__)[:200]
