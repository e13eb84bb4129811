"""A mail's part of a batch, cast in a mould: what Anymail made of one mail, filled with the words of the next.

Anymail parses every address and header of every mail anew, which took a third of a mail in a batch.
The mails of an edition differ in a few strings only, and what becomes of those is looked at once.
"""

import copy
import re
import secrets
from collections.abc import Callable, Hashable, Mapping
from typing import Any

from anymail.backends.base_requests import AnymailRequestsBackend, RequestsPayload
from django.core.mail import EmailMessage

from newsletter import batches
from newsletter.batches import Batch, Data, Item
from subscribers.mime import Body, PreparedMessage

MARK = f"m{secrets.token_hex(12)}n"
_MARKERS = re.compile(rf"{MARK}\d+x(?:@example\.org)?")
# An address that stays as it is however it is parsed and written.
_ADDRESS = re.compile(r"[\w+-]+(?:\.[\w+-]+)*@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+", re.ASCII)
_LINE_BREAK = re.compile(r"[\r\n]")
# Whatever else is set on a message is for Anymail alone to understand.
_ATTRIBUTES = frozenset(vars(PreparedMessage(text="", html="", boundary=""))) | {"metadata"}

Values = Mapping[str, str]
Cast = Callable[[Values], Any]


class Moulds:
    """The moulds of a backend's calls, one for each shape of a mail; ``asked`` is what a call says beside its body."""

    def __init__(self, backend: AnymailRequestsBackend, batch: Batch) -> None:
        self.backend, self.batch = backend, batch
        self.asked: Data = {}
        self._moulds: dict[Hashable, Callable[[Values], Item] | None] = {}

    def item(self, message: EmailMessage) -> Item:
        """Return the mail as it stands in a call; raises what Anymail raises about it."""
        values = _values(message)
        if values is None or not isinstance(message, PreparedMessage):
            return self._by_anymail(message)
        shape = (message.from_email, *message.reply_to, None, *message.extra_headers)
        if shape not in self._moulds:
            self._moulds[shape] = self._checked(message, values)
        mould = self._moulds[shape]
        return mould(values) if mould else self._by_anymail(message)

    def _checked(self, message: PreparedMessage, values: Values) -> Callable[[Values], Item] | None:
        """Return a mould in which this mail comes out as Anymail writes it, to the byte; None if there is none."""
        mould = self._mould(message, values)
        return mould if mould(values) == self._by_anymail(message) else None

    def _mould(self, message: PreparedMessage, values: Values) -> Callable[[Values], Item]:
        markers = {name: f"{MARK}{number}x" for number, name in enumerate(values)}
        markers["to"] += "@example.org"
        payload = self._payload(_marked(message, markers))
        cast = _cast(payload.data, {marker: name for name, marker in markers.items()})
        return lambda values: batches.item(self.batch, payload, cast(values))

    def _by_anymail(self, message: EmailMessage) -> Item:
        payload = self._payload(message)
        self.asked = self.asked or batches.request(payload, self.backend)
        return batches.item(self.batch, payload, payload.data)

    def _payload(self, message: EmailMessage) -> RequestsPayload:
        return self.backend.build_message_payload(message, self.backend.send_defaults)


def _values(message: EmailMessage) -> Values | None:
    """Return the strings in which such a mail differs from others, by names of ours; None for any other mail."""
    if type(message) is not PreparedMessage or not vars(message).keys() <= _ATTRIBUTES:
        return None
    metadata = getattr(message, "metadata", {})
    if message.cc or message.bcc or message.attachments or len(message.to) != 1 or metadata.keys() != {"id"}:
        return None
    [html] = message.alternatives
    lines = {"to": message.to[0], "id": metadata["id"], "subject": message.subject}
    lines |= {f"header {name}": value for name, value in message.extra_headers.items()}
    values = lines | {"body": message.body, "html": html[0]}
    if not all(isinstance(value, str) and value for value in values.values()):
        return None
    if not _ADDRESS.fullmatch(lines["to"]) or any(_LINE_BREAK.search(line) for line in lines.values()):
        return None
    return values


def _marked(message: PreparedMessage, markers: Values) -> PreparedMessage:
    """Return the mail with a marker in place of each of its values."""
    marked = copy.copy(message)
    marked.to, marked.subject = [markers["to"]], markers["subject"]
    marked.extra_headers = {name: markers[f"header {name}"] for name in message.extra_headers}
    marked.metadata = {"id": markers["id"]}  # type: ignore[attr-defined]  # read by Anymail
    marked.text, marked.html = Body([markers["body"]]), Body([markers["html"]])
    return marked


def _cast(data: Any, names: Mapping[str, str]) -> Cast:
    """Return what makes such JSON with other values where the markers stand."""
    if isinstance(data, str):
        return _cast_text(str(data), names)
    if isinstance(data, Mapping):
        members = [(name, _cast(member, names)) for name, member in data.items()]
        return lambda values: {name: member(values) for name, member in members}
    if isinstance(data, (list, tuple)):
        each = [_cast(member, names) for member in data]
        return lambda values: [member(values) for member in each]
    return lambda _: data


def _cast_text(text: str, names: Mapping[str, str]) -> Cast:
    if name := names.get(text):
        return lambda values: values[name]
    if not _MARKERS.search(text):
        return lambda _: text
    return lambda values: _MARKERS.sub(lambda found: values[names[found[0]]], text)
