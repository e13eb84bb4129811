"""What mailbox providers require of a received message, checked on its bytes.

The checks are those of RFC 2369, 3834, 5322 and 8058 and of the large providers' guidelines for
senders; ``tests.mail_checks`` looks at what readers see.
"""

import re
from collections.abc import Collection, Iterator
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from email.utils import getaddresses, parsedate_to_datetime
from html.parser import HTMLParser
from urllib.parse import urlsplit

STRICT = policy.default.clone(raise_on_defect=True)
ONCE = ("From", "To", "Subject", "Date", "Message-ID", "List-Id", "Auto-Submitted", "Feedback-ID", "MIME-Version")
LOOPBACK = {"127.0.0.1", "localhost", "::1"}
LARGEST_HTML = 80 * 1024


def check_message(raw: bytes, public_url: str, *, paper_links: Collection[str] | None = None) -> list[str]:
    """Return what is wrong with a message as it was received; [] for a good one.

    ``paper_links`` are the links that may lead away from ``public_url``; None allows any.
    Raises what the strict parser raises for bytes that are no message at all.
    """
    message = BytesParser(policy=STRICT).parsebytes(raw)
    assert isinstance(message, EmailMessage)
    return [
        *_headers(message),
        *_list_unsubscribe(raw, message, public_url),
        *_lines(raw),
        *_parts(message, public_url, paper_links),
    ]


def _headers(message: EmailMessage) -> Iterator[str]:
    for name in ONCE:
        if (count := len(message.get_all(name, []))) != 1:
            yield f"{count} {name} headers"
    if len(getaddresses([str(message["To"])])) != 1:
        yield f"several recipients: {message['To']}"
    sender = getaddresses([str(message["From"])])[0][1]
    if not str(message["Message-ID"]).endswith(f"@{sender.rpartition('@')[2]}>"):
        yield f"the Message-ID {message['Message-ID']} is not of the sender's domain"
    if parsedate_to_datetime(str(message["Date"])).tzinfo is None:
        yield f"the Date {message['Date']} names no zone"
    if not re.fullmatch(r"[ -~]* <[a-z0-9-]+(\.[a-z0-9-]+)+>", str(message["List-Id"])):
        yield f"the List-Id {message['List-Id']} is not `Name <id.domain>`"
    if message["Auto-Submitted"] != "auto-generated":
        yield f"Auto-Submitted is {message['Auto-Submitted']}"
    fields = str(message["Feedback-ID"]).split(":")
    if len(fields) > 4 or not 5 <= len(fields[-1]) <= 15:
        yield f"the Feedback-ID {message['Feedback-ID']} has not at most 4 fields, the last of 5 to 15 characters"


def _list_unsubscribe(raw: bytes, message: EmailMessage, public_url: str) -> Iterator[str]:
    head = raw.replace(b"\r\n", b"\n").partition(b"\n\n")[0].decode("ascii")
    found = re.findall(r"(?im)^List-Unsubscribe: *([^\n]*(?:\n[ \t][^\n]*)*)", head)
    posts = message.get_all("List-Unsubscribe-Post", [])
    is_digest = str(message["Feedback-ID"]).startswith("digest")
    if not found and not posts and not is_digest:
        return
    if len(found) != 1 or posts != ["List-Unsubscribe=One-Click"]:
        yield f"not one List-Unsubscribe with its List-Unsubscribe-Post: {found} {posts}"
        return
    value = found[0]
    if (
        not re.match(rf"<{re.escape(public_url)}/u/[A-Za-z0-9_-]{{22}}>(, <mailto:[^>\s]+>)?$", value)
        or len(value) >= 78
    ):
        yield f"List-Unsubscribe is not one short raw address of ours: {value}"
    for part in ("plain", "html"):
        body = message.get_body((part,))
        expected = 2 if is_digest and part == "html" else 1  # near the top and in the footer
        if body is not None and body.get_content().count(value.split(">")[0].strip("<")) < expected:
            yield f"the {part} part does not show the unsubscribe link {expected} times"


def _lines(raw: bytes) -> Iterator[str]:
    longest = max(len(line) for line in raw.replace(b"\r\n", b"\n").split(b"\n"))
    if longest > 998:
        yield f"a line of {longest} octets"


def _parts(message: EmailMessage, public_url: str, paper_links: Collection[str] | None) -> Iterator[str]:
    kinds = [message.get_content_type(), *(part.get_content_type() for part in message.iter_parts())]
    if kinds != ["multipart/alternative", "text/plain", "text/html"]:
        yield f"the parts are {kinds}"
        return
    plain, html = message.iter_parts()
    for part in (plain, html):
        if part.get_content_charset() != "utf-8":
            yield f"{part.get_content_type()} is in {part.get_content_charset()}"
    if (size := len(str(html.get_payload()).encode())) > LARGEST_HTML:
        yield f"{size} octets of HTML"
    page = _Page(html.get_content())
    if not 40 <= len(page.first_text) <= 130:
        yield f"the first text has {len(page.first_text)} characters: {page.first_text}"
    for link in page.links:
        yield from _link(link, public_url, paper_links)
        if link.rstrip("/") != public_url and link not in plain.get_content():
            yield f"the text lacks the link {link}"


def _link(link: str, public_url: str, paper_links: Collection[str] | None) -> Iterator[str]:
    parts = urlsplit(link)
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        yield f"the link {link!r} is not absolute"
    elif link == public_url or link.startswith(f"{public_url}/"):
        if parts.scheme == "http" and parts.hostname not in LOOPBACK:
            yield f"the link {link} is not https"
    elif paper_links is not None and link not in paper_links:
        yield f"the link {link} leads away from us"


class _Page(HTMLParser):
    """The links of a page and the first text that is shown."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.first_text = ""
        self._in_body = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in_body = self._in_body or tag == "body"
        if tag in {"a", "area"}:
            self.links.append(dict(attrs).get("href") or "")

    def handle_data(self, data: str) -> None:
        if self._in_body and not self.first_text:
            self.first_text = data.strip()
