"""Whole mails posted together, for the providers that take them so: Anymail's own payload of each, in one call.

Not by Anymail's batch mode: that sends one body with merge variables, which the provider's template
engine may interpret. Here every mail is complete, with both unsubscribe headers in its own.
"""

import datetime as dt
import json
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args
from urllib.parse import urljoin

from anymail.backends.base_requests import AnymailRequestsBackend, RequestsPayload
from anymail.exceptions import AnymailRequestsAPIError
from django.conf import settings

from newsletter import outcomes
from subscribers.emails import Outcome

Data = dict[str, Any]  # JSON as the provider's API has it
Part = Literal["subject", "text", "html"]
PARTS: tuple[Part, ...] = get_args(Part)
AT_ONCE = 8  # mails that are written together
UNREADABLE = (AttributeError, IndexError, KeyError, StopIteration, TypeError, ValueError)


@dataclass(frozen=True, slots=True)
class Item:
    """One mail as it stands in the body of a call; ``shared`` is what the call says once for all of them."""

    body: bytes
    shared: bytes = b""


class Body:
    """The body of a call, some mails at a time as ``requests`` writes it; ``len`` is in bytes.

    As one string, 20 MB were copied once more into memory that no cache holds.
    """

    def __init__(self, items: Sequence[Item], before: bytes = b"[", after: bytes = b"]") -> None:
        self.items, self.before, self.after = items, before, after

    def __iter__(self) -> Iterator[bytes]:
        yield self.before
        for start in range(0, len(self.items), AT_ONCE):
            # From the second time on with a comma first.
            yield b",".join([b""] * bool(start) + [item.body for item in self.items[start : start + AT_ONCE]])
        yield self.after

    def __len__(self) -> int:
        commas = max(len(self.items) - 1, 0)
        return len(self.before) + sum(len(item.body) for item in self.items) + commas + len(self.after)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Return it as text, which Anymail prints after the call where ``DEBUG_API_REQUESTS`` is set."""
        return b"".join(self).decode(encoding, errors)


class Batch:
    """How one provider takes many mails in a call.

    ``size`` is in messages and ``max_bytes`` in bytes of the body. ``key_life`` is how long the provider
    knows the key of a call again; None where it takes none.
    """

    size: int
    max_bytes = 40_000_000
    key_life: dt.timedelta | None = None

    def path(self, backend: AnymailRequestsBackend) -> str:
        raise NotImplementedError

    def item(self, data: Data) -> Data:
        """Return what stands in the list for a mail, out of Anymail's payload of that mail alone."""
        return data

    def shared(self, data: Data) -> Data:  # noqa: ARG002
        return {}

    def literally(self, part: Part, text: bytes) -> bytes:  # noqa: ARG002
        """Return a part of a mail, or its JSON, so that the provider reads no template in it."""
        return text

    def body(self, items: Sequence[Item], key: str) -> Body:  # noqa: ARG002
        return Body(items)

    def headers(self, key: str) -> Mapping[str, str]:  # noqa: ARG002
        return {}

    def read(self, answer: Any, count: int) -> Sequence[Outcome]:
        """Return what became of each mail; raises one of ``UNREADABLE`` where the answer says no such thing."""
        raise NotImplementedError

    def knows_key(self, error: AnymailRequestsAPIError) -> bool:  # noqa: ARG002
        """Say whether the provider refused a call because it took the same call before."""
        return False


class Postmark(Batch):
    """https://postmarkapp.com/developer/user-guide/send-email-with-api/batch-emails

    500 mails, 50 MB; the answer is 200 with a code for each mail, 0 if it was taken.
    """

    size, max_bytes = 500, 50_000_000

    def path(self, backend: AnymailRequestsBackend) -> str:  # noqa: ARG002
        return "email/batch"

    def item(self, data: Data) -> Data:
        return data | {"MessageStream": settings.POSTMARK_STREAM}

    def read(self, answer: Any, count: int) -> Sequence[Outcome]:
        return [self._outcome(said) for said in _all(answer, count)]

    def _outcome(self, said: Data) -> Outcome:
        if code := int(said.get("ErrorCode", 0)):
            return outcomes.refused(f"{code}: {said['Message']}", is_passing=code == 100)  # 100: maintenance
        return Outcome("accepted", str(said["MessageID"]))


class Resend(Batch):
    """https://resend.com/docs/dashboard/emails/batch-validation-modes and …/idempotency-keys

    100 mails. By default one bad mail refuses all; ``permissive`` takes the others, whose ids stand in
    ``data``, and lists the bad ones in ``errors``. The same call under the same key is answered as before.
    """

    size, key_life = 100, dt.timedelta(hours=24)

    def path(self, backend: AnymailRequestsBackend) -> str:  # noqa: ARG002
        return "emails/batch"

    def headers(self, key: str) -> Mapping[str, str]:
        return {"x-batch-validation": "permissive", "Idempotency-Key": key}

    def read(self, answer: Any, count: int) -> Sequence[Outcome]:
        refused = {int(error["index"]): outcomes.refused(error["message"]) for error in answer.get("errors") or ()}
        ids = iter(_all(answer["data"], count - len(refused)))
        return [refused[n] if n in refused else Outcome("accepted", str(next(ids)["id"])) for n in range(count)]


# Each of several in a row, since `{{{` would else leave a pair.
_BRACKET = re.compile(rb"\{(?=[{%])")


class Brevo(Batch):
    """https://developers.brevo.com/docs/batch-send-transactional-emails and …/heterogenous-versions-batch-emails

    1,000 versions of a mail, which replace all of it but the sender. Their template language is read in
    every version, so that its brackets are taken apart. A call under a known key is refused.
    """

    size, key_life = 1000, dt.timedelta(minutes=30)

    def path(self, backend: AnymailRequestsBackend) -> str:  # noqa: ARG002
        return "smtp/email"

    def item(self, data: Data) -> Data:
        version = {name: value for name, value in data.items() if name != "sender"}
        for name, part in zip(("subject", "textContent", "htmlContent"), PARTS, strict=True):
            version[name] = self.literally(part, version[name].encode()).decode()
        return version

    def literally(self, part: Part, text: bytes) -> bytes:
        if b"{{" not in text and b"{%" not in text:
            return text
        return _BRACKET.sub(b"&#123;" if part == "html" else b"{ ", text)

    def shared(self, data: Data) -> Data:
        # What every version replaces; without it the call is refused.
        return {"sender": data["sender"], "subject": "-", "htmlContent": "<p>-</p>"}

    def body(self, items: Sequence[Item], key: str) -> Body:
        headers = json.dumps({"headers": {"idempotencyKey": str(uuid.UUID(key))}})[1:-1].encode()
        return Body(items, b"".join([items[0].shared[:-1], b", ", headers, b', "messageVersions": [']), b"]}")

    def read(self, answer: Any, count: int) -> Sequence[Outcome]:
        return [Outcome("accepted", str(name)) for name in _all(answer["messageIds"], count)]

    def knows_key(self, error: AnymailRequestsAPIError) -> bool:
        return error.status_code == 400 and "duplicate_parameter" in getattr(error.response, "text", "")


class Mailtrap(Batch):
    """https://docs.mailtrap.io/developers/email-sending: 500 mails, 50 MB; 200 with an answer for each mail."""

    size, max_bytes = 500, 50_000_000

    def path(self, backend: AnymailRequestsBackend) -> str:
        return f"batch/{backend.sandbox_id}" if backend.use_sandbox else "batch"

    def body(self, items: Sequence[Item], key: str) -> Body:  # noqa: ARG002
        return Body(items, b'{"requests": [', b"]}")

    def read(self, answer: Any, count: int) -> Sequence[Outcome]:
        return [
            Outcome("accepted", str(said["message_ids"][0]))
            if said["success"]
            else outcomes.refused("; ".join(said["errors"]))
            for said in _all(answer["responses"], count)
        ]


class Mailjet(Batch):
    """https://dev.mailjet.com/email/reference/send-emails/: 50 mails; also a 4xx may hold an answer for each mail."""

    size = 50

    def path(self, backend: AnymailRequestsBackend) -> str:  # noqa: ARG002
        return "send"

    def item(self, data: Data) -> Data:
        # Anymail puts the body and the headers into what all messages of a call share.
        return {**data["Globals"], **data["Messages"][0]}

    def body(self, items: Sequence[Item], key: str) -> Body:  # noqa: ARG002
        return Body(items, b'{"Messages": [', b"]}")

    def read(self, answer: Any, count: int) -> Sequence[Outcome]:
        return [
            Outcome("accepted", str(said["To"][0]["MessageID"]))
            if said["Status"] == "success"
            else outcomes.refused("; ".join(f"{e.get('ErrorRelatedTo')}: {e['ErrorMessage']}" for e in said["Errors"]))
            for said in _all(answer["Messages"], count)
        ]


# By the name that Anymail gives the provider.
BATCHES: Mapping[str, Batch] = {
    "Postmark": Postmark(),
    "Resend": Resend(),
    "Brevo": Brevo(),
    "Mailtrap": Mailtrap(),
    "Mailjet": Mailjet(),
}


def _all(answers: Any, count: int) -> Sequence[Any]:
    """Return the answers if there is one for each mail; with any other number nobody knows whose they are."""
    if not isinstance(answers, list) or len(answers) != count:
        raise ValueError(f"{count} answers were to be expected")
    return answers


# The call ---------------------------------------------------------------------------------------


def item(batch: Batch, payload: RequestsPayload) -> Item:
    """Return a mail as it stands in a call."""
    shared = batch.shared(payload.data)
    body = payload.serialize_json(batch.item(payload.data)).encode()
    return Item(body, payload.serialize_json(shared).encode() if shared else b"")


def request(payload: RequestsPayload, backend: AnymailRequestsBackend) -> Data:
    """Return what a call says beside its body: method, credentials, headers."""
    return {name: value for name, value in payload.get_request_params(backend.api_url).items() if name != "data"}


def post(
    backend: AnymailRequestsBackend, batch: Batch, items: Sequence[Item], key: str, asked: Data
) -> Sequence[Outcome]:
    """Post the mails in one call under ``key``; return what became of each.

    ``asked`` is the ``request`` of any of them. Raises what Anymail raises where there is no answer
    for each mail.
    """
    call = _Call(
        asked
        | {
            "url": urljoin(backend.api_url, batch.path(backend)),
            "data": batch.body(items, key),
            "headers": {**(asked["headers"] or {}), **batch.headers(key)},
        }
    )
    try:
        response = backend.post_to_esp(call, None)
        try:
            return outcomes.of_one_call(batch.read(response.json(), len(items)))
        except UNREADABLE:
            raise AnymailRequestsAPIError("Not an answer for each mail", response=response, backend=backend) from None
    except AnymailRequestsAPIError as error:
        if batch.knows_key(error):
            return [Outcome("accepted")] * len(items)
        raise


class _Call:
    """Stands for a payload of Anymail's, whose backend posts it and raises its own errors."""

    def __init__(self, asked: Data) -> None:
        self.asked = asked

    def get_request_params(self, api_url: str) -> Data:  # noqa: ARG002
        return dict(self.asked)
