"""A mail's part of a batch, cast in a mould: what Anymail made of one mail, filled with the words of the next.

Anymail parses every address and header of every mail anew and writes it as JSON, which took half of a
mail's time in a batch. The mails of an edition differ in a few strings only, and where those stand is
looked at once; the bodies are joined out of parts that became JSON once per edition.
"""

import copy
import re
import secrets
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from json.encoder import encode_basestring_ascii

from anymail.backends.base_requests import AnymailRequestsBackend
from django.core.mail import EmailMessage

from newsletter import batches
from newsletter.batches import Batch, Data, Item
from subscribers.mime import Body, PreparedMessage

# An address that stays as it is however it is parsed and written, and an id that may stand in JSON within JSON.
_ADDRESS = re.compile(r"[\w+-]+(?:\.[\w+-]+)*@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+", re.ASCII)
_ID = re.compile(r"\w+", re.ASCII)
_LINE_BREAK = re.compile(r"[\r\n]")
# Whatever else is set on a message is for Anymail alone to understand.
_ATTRIBUTES = frozenset(vars(PreparedMessage(text="", html="", boundary=""))) | {"metadata"}
MARK = f"m{secrets.token_hex(12)}n"
# A marker with this in it is not found again where a value becomes more than JSON, such as a word of HTML.
HOSTILE = '"\\<&{{'

Lines = Mapping[str, str]
Values = Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class _Mould:
    """What all mails of a shape share: ``parts``, with a gap for one of ``names`` between each two."""

    parts: Sequence[bytes]
    names: Sequence[str]
    shared: bytes

    def item(self, values: Values) -> Item:
        filled = [b""] * (len(self.parts) + len(self.names))
        filled[::2] = self.parts
        filled[1::2] = [values[name] for name in self.names]
        return Item(b"".join(filled), self.shared)


class Moulds:
    """The moulds of a backend's calls, one for each shape of a mail; ``asked`` is what a call says beside its body."""

    def __init__(self, backend: AnymailRequestsBackend, batch: Batch) -> None:
        self.backend, self.batch = backend, batch
        self.asked: Data = {}
        self._moulds: dict[Hashable, _Mould | None] = {}

    def item(self, message: EmailMessage) -> Item:
        """Return the mail as it stands in a call; raises what Anymail raises about it."""
        if not isinstance(message, PreparedMessage) or not (values := _values(message, self.batch)):
            return self._by_anymail(message)
        shape = (message.from_email, *message.reply_to, None, *message.extra_headers)
        if shape not in self._moulds:
            self._moulds[shape] = self._checked(message, values)
        mould = self._moulds[shape]
        return mould.item(values) if mould else self._by_anymail(message)

    def _checked(self, message: PreparedMessage, values: Values) -> _Mould | None:
        """Return a mould in which this mail comes out as Anymail writes it, to the byte; None if there is none."""
        expected, mould = self._by_anymail(message), self._mould(_marked(message))
        return mould if mould and mould.item(values) == expected else None

    def _mould(self, marked: PreparedMessage) -> _Mould | None:
        names = {value: name for name, value in (_values(marked, self.batch) or {}).items()}
        whole = self._by_anymail(marked)
        gaps = re.compile(b"(%b)" % b"|".join(map(re.escape, names)))
        parts = gaps.split(whole.body)
        if MARK.encode() in b"".join([*parts[::2], whole.shared]):
            return None
        return _Mould(parts[::2], [names[value] for value in parts[1::2]], whole.shared)

    def _by_anymail(self, message: EmailMessage) -> Item:
        payload = self.backend.build_message_payload(message, self.backend.send_defaults)
        self.asked = self.asked or batches.request(payload, self.backend)
        return batches.item(self.batch, payload)


def _values(message: PreparedMessage, batch: Batch) -> Values | None:
    """Return the strings in which such a mail differs from others, by names of ours, as they stand in the call's JSON.

    None for a mail that only Anymail understands.
    """
    lines = _lines(message)
    if lines is None:
        return None
    values = {name: encode_basestring_ascii(line)[1:-1].encode() for name, line in lines.items()}
    values |= {"text": message.text.json(), "html": message.html.json()}
    for part in batches.PARTS:
        values[part] = batch.literally(part, values[part])
    return values if all(values.values()) else None


def _lines(message: PreparedMessage) -> Lines | None:
    """Return what is of one line each; None where anything in the message is unusual."""
    metadata = getattr(message, "metadata", {})
    if type(message) is not PreparedMessage or not vars(message).keys() <= _ATTRIBUTES or metadata.keys() != {"id"}:
        return None
    if message.cc or message.bcc or message.attachments or len(message.to) != 1:
        return None
    to, name, headers = message.to[0], metadata["id"], message.extra_headers
    lines = {"to": to, "id": name, "subject": message.subject}
    lines |= {f"header {field}": value for field, value in headers.items()}
    if set(map(type, lines.values())) != {str} or _LINE_BREAK.search("".join(lines.values())):
        return None
    # Some providers take no header beyond ASCII, which Anymail says.
    is_plain = _ADDRESS.fullmatch(to) and _ID.fullmatch(name) and "".join(headers.values()).isascii()
    return lines if is_plain else None


def _marked(message: PreparedMessage) -> PreparedMessage:
    """Return the mail with a marker in place of each of its values."""
    marked = copy.copy(message)
    marked.to, marked.subject = [f"{MARK}0@example.org"], f"{MARK}1{HOSTILE}€"
    marked.extra_headers = {name: f"{MARK}2x{number}{HOSTILE}" for number, name in enumerate(message.extra_headers)}
    marked.metadata = {"id": f"{MARK}3"}  # type: ignore[attr-defined]  # read by Anymail
    marked.text, marked.html = Body.of(f"{MARK}4{HOSTILE}€"), Body.of(f"{MARK}5{HOSTILE}€")
    return marked
