"""A mail's bytes as they travel, joined out of parts that were made before."""

import binascii
import functools
import re
from collections.abc import Mapping, Sequence
from email import message_from_bytes
from email.message import Message
from json.encoder import encode_basestring_ascii
from typing import Any

from django.core.mail import EmailMultiAlternatives
from django.core.mail.message import EmailAlternative, MIMEMixin, forbid_multi_line_headers

UTF8 = "utf-8"

_TOKEN = re.compile(r"[\w-]{1,70}", re.ASCII)  # what needs no escape and no encoding, and fits into a line


class Piece:
    """A part of a body that many mails share, in each form that a mail takes, made when it is first asked for.

    ``made_json`` and ``made_encoded`` are empty until then: a mail looks at a hundred pieces, and an attribute
    is found in a third of the time that a call takes.
    """

    __slots__ = ("made_encoded", "made_json", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.made_encoded = self.made_json = b""

    def encoded(self) -> bytes:
        """Return the text as it travels by SMTP."""
        self.made_encoded = encoded(self.text) if self.text else b""
        return self.made_encoded

    def json(self) -> bytes:
        """Return what ``json.dumps`` writes of the text between its quotes, in ASCII."""
        self.made_json = encode_basestring_ascii(self.text)[1:-1].encode()
        return self.made_json


# They stand among the pieces where the token of the mail and that of its reader go.
MAIL_TOKEN, READER_TOKEN = Piece(""), Piece("")


class Body:
    """A body joined out of pieces, in the form that is asked for: a batch call needs one, SMTP another.

    ``tokens`` are what goes where ``MAIL_TOKEN`` and ``READER_TOKEN`` stand. Raises ``ValueError`` for what
    is no token.
    """

    __slots__ = ("pieces", "tokens")

    def __init__(self, pieces: Sequence[Piece], tokens: Mapping[Piece, str] | None = None) -> None:
        self.pieces, self.tokens = pieces, tokens or {}
        if not all(map(_TOKEN.fullmatch, self.tokens.values())):
            raise ValueError("a token is of letters, digits, _ and -")

    @classmethod
    def of(cls, text: str) -> "Body":
        return cls([Piece(text)])

    def __str__(self) -> str:
        own = self.tokens
        return "".join([piece.text or own.get(piece, "") for piece in self.pieces])

    def json(self) -> bytes:
        """Return what ``json.dumps(str(self))`` writes between its quotes, in ASCII."""
        own = {piece: token.encode() for piece, token in self.tokens.items()}
        return b"".join([piece.made_json or own.get(piece) or piece.json() for piece in self.pieces])

    def encoded(self) -> bytes:
        """Return the body as it travels by SMTP, without the line break that belongs to the boundary after it."""
        own = {piece: encoded(token) for piece, token in self.tokens.items()}
        lines = b"".join([piece.made_encoded or own.get(piece) or piece.encoded() for piece in self.pieces])
        return lines.removesuffix(b"=\r\n")


LONGEST_LINE = 76  # without its line break
_DOTS = re.compile(rb"^\.+", re.MULTILINE)


def encoded(text: str) -> bytes:
    """Return ``text`` in quoted-printable: whole lines of at most 76 octets, each with CRLF, none with a dot first.

    What ends within a line ends in a soft break, so that encoded parts can be put one after the other.
    Quoted-printable and not base64: a part needs no alignment, is a quarter shorter, and a plain
    text in base64 looks to a spam filter like something that hides.
    """
    lines = binascii.b2a_qp(text.replace("\r", "").encode())
    if len(lines) - lines.rfind(b"\n") > LONGEST_LINE:  # it is full, and has no room for a soft break of ours
        last = len(lines) - (3 if lines[-3:-2] == b"=" else 1)
        lines = lines[:last] + b"=\n" + lines[last:]
    if b"\n." in lines or lines.startswith(b"."):
        # SMTP would double the dot; a soft break after it keeps the line from growing.
        lines = _DOTS.sub(lambda found: b"=2E=\n" * len(found[0]), lines)
    if not lines.endswith(b"\n"):
        lines += b"=\n"
    return lines.replace(b"\n", b"\r\n")


class Parsed(MIMEMixin, Message):  # type: ignore[misc]  # as Django's own classes
    """A message with Django's ``as_bytes``, which takes the line separator."""


class PreparedMessage(EmailMultiAlternatives):
    """A mail of text and HTML to one reader, whose bytes are a pure function of what it was made of.

    ``text`` and ``html`` are what is sent; ``body`` and ``alternatives`` show them as Django and Anymail ask for
    them. ``boundary`` must be of letters and digits; behind ``=_`` it cannot stand in quoted-printable.
    """

    def __init__(self, *, text: Body | str, html: Body | str, boundary: str, **values: Any) -> None:
        super().__init__(**values)
        self.text = text if isinstance(text, Body) else Body.of(text)
        self.html = html if isinstance(html, Body) else Body.of(html)
        self.boundary = f"=_{boundary}"
        self._frozen = b""

    @property
    def body(self) -> str:
        return str(self.text)

    @body.setter
    def body(self, text: str) -> None:
        self.text = Body.of(text)

    @property  # type: ignore[override]  # a copy, to which nothing can be appended
    def alternatives(self) -> tuple[EmailAlternative, ...]:
        return (EmailAlternative(str(self.html), "text/html"),)

    @alternatives.setter  # type: ignore[override]  # as above
    def alternatives(self, alternatives: Sequence[tuple[str, str]]) -> None:
        for html, _ in alternatives:
            self.html = Body.of(html)

    def freeze(self) -> None:
        """Make the bytes now, while nothing has been claimed; later changes do not reach them."""
        self._frozen = self.as_bytes()

    def as_bytes(self, linesep: str = "\r\n") -> bytes:
        """Return the message as it travels; raises ``ValueError`` for several recipients or a broken header."""
        raw = self._frozen or self._joined()
        return raw if linesep == "\r\n" else raw.replace(b"\r\n", linesep.encode())

    def _joined(self) -> bytes:
        return _JOINT % {
            b"head": self._head(),
            b"boundary": self.boundary.encode(),
            b"text": self.text.encoded(),
            b"html": self.html.encoded(),
        }

    def message(self) -> "Parsed":  # type: ignore[override]  # of the same methods
        """Return the same message for those who change it, such as Anymail for Amazon SES."""
        return message_from_bytes(self.as_bytes(linesep="\n"), _class=Parsed)

    def _head(self) -> bytes:
        if len(self.recipients()) != 1:
            # A message with several recipients shows each of them to the others.
            raise ValueError(f"the message has {len(self.recipients())} recipients")
        shared = {"Subject": self.subject, "From": self.from_email}
        if self.reply_to:
            shared["Reply-To"] = ", ".join(self.reply_to)
        lines = [_shared_header(name, str(value)) for name, value in shared.items()]
        own = {"To": self.to[0], **self.extra_headers}
        lines += [_header(name, str(value)) for name, value in own.items()]
        return "".join(lines).encode("ascii")


# Quoted-printable holds no `=_`.
_JOINT = (
    b'Content-Type: multipart/alternative;\r\n boundary="%(boundary)s"\r\nMIME-Version: 1.0\r\n%(head)s\r\n'
    b'--%(boundary)s\r\nContent-Type: text/plain; charset="utf-8"\r\nMIME-Version: 1.0\r\n'
    b"Content-Transfer-Encoding: quoted-printable\r\n\r\n%(text)s\r\n"
    b'--%(boundary)s\r\nContent-Type: text/html; charset="utf-8"\r\nMIME-Version: 1.0\r\n'
    b"Content-Transfer-Encoding: quoted-printable\r\n\r\n%(html)s\r\n"
    b"--%(boundary)s--\r\n"
)


def _header(name: str, value: str) -> str:
    """Return a header's lines as Django writes them; raises ``BadHeaderError`` for CR and LF."""
    if value.isascii() and value.isprintable() and name != "Subject":
        return f"{name}: {value}\r\n"  # what Django would come to, in a third of the time
    name, value = forbid_multi_line_headers(name, value, UTF8)
    return f"{name}: {value}\r\n".replace("\n ", "\r\n ")


# Folding a subject is dear, and the readers of an edition share few of them.
_shared_header = functools.lru_cache(maxsize=1024)(_header)
