"""The send calls of four providers, as Anymail and our own batches make them, and what they answer."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.crash.moods import Treatment

REFUSAL = "Invalid 'To' address: the mailbox is inactive."
BROKEN = ("reset", "truncated", "hang")
STATUS = {"denied": 401, "throttled": 429, "unavailable": 503, "refused": 422, "error": 500}


@dataclass(frozen=True, slots=True)
class Mail:
    """What the sink reads of a mail: to whom, and the id that we gave it."""

    address: str
    opaque_id: str


@dataclass(frozen=True, slots=True)
class Taken:
    """A mail as the sink treats it."""

    mail: Mail
    treatment: Treatment
    provider_id: str

    @property
    def is_refused(self) -> bool:
        """Whether it is not taken where others of its call are."""
        return not self.treatment.is_taken


class Api:
    """How a provider's API says it; one mail a call unless it says otherwise."""

    is_all_or_none = False

    def items(self, asked: Any) -> list[Any]:
        """Return the mails of a call."""
        return [asked]

    def read(self, item: Any) -> Mail:
        """Return what a mail of a call says."""
        raise NotImplementedError

    def key(self, asked: Any, headers: Mapping[str, str]) -> str:  # noqa: ARG002
        """Return the call's idempotency key, '' where it has none."""
        return ""

    def said(self, asked: Any, taken: Sequence[Taken]) -> tuple[int, Any]:
        """Return the status and the body of an answer; a list is answered mail by mail."""
        answer = taken[0].treatment.answer
        if answer == "refused" and not isinstance(asked, list):
            return STATUS[answer], {"message": REFUSAL}
        if answer in {"", "refused", *BROKEN}:
            return 200, self.good(asked, taken)
        return STATUS[answer], {"message": answer}

    def good(self, asked: Any, taken: Sequence[Taken]) -> Any:
        """Return the answer to mails that were taken, but for those that are refused."""
        raise NotImplementedError

    def again(self, said: Any) -> tuple[int, Any]:
        """Return the answer to the same call under the same key: as before."""
        return 200, said


class Postmark(Api):
    def items(self, asked: Any) -> list[Any]:
        return asked if isinstance(asked, list) else [asked]

    def read(self, item: Any) -> Mail:
        return Mail(item["To"], item["Metadata"]["id"])

    def good(self, asked: Any, taken: Sequence[Taken]) -> Any:
        said = [
            {"ErrorCode": 406, "Message": REFUSAL}
            if each.is_refused
            else {"ErrorCode": 0, "Message": "OK", "MessageID": each.provider_id, "To": each.mail.address}
            for each in taken
        ]
        return said if isinstance(asked, list) else said[0]


class Resend(Api):
    def items(self, asked: Any) -> list[Any]:
        return asked if isinstance(asked, list) else [asked]

    def read(self, item: Any) -> Mail:
        return Mail(item["to"][0], json.loads(item["headers"]["X-Metadata"])["id"])

    def key(self, asked: Any, headers: Mapping[str, str]) -> str:  # noqa: ARG002
        return headers.get("Idempotency-Key", "")

    def good(self, asked: Any, taken: Sequence[Taken]) -> Any:
        ids = [{"id": each.provider_id} for each in taken if not each.is_refused]
        errors = [{"index": n, "message": REFUSAL} for n, each in enumerate(taken) if each.is_refused]
        return {"data": ids, "errors": errors} if isinstance(asked, list) else ids[0]


class Brevo(Api):
    """It takes all mails of a call or none, and refuses a key that it knows."""

    is_all_or_none = True

    def items(self, asked: Any) -> list[Any]:
        return list(asked.get("messageVersions", [asked]))

    def read(self, item: Any) -> Mail:
        return Mail(item["to"][0]["email"], json.loads(item["headers"]["X-Mailin-custom"])["id"])

    def key(self, asked: Any, headers: Mapping[str, str]) -> str:  # noqa: ARG002
        return str(asked.get("headers", {}).get("idempotencyKey", ""))

    def good(self, asked: Any, taken: Sequence[Taken]) -> Any:
        ids = [each.provider_id for each in taken]
        return {"messageIds": ids} if "messageVersions" in asked else {"messageId": ids[0]}

    def again(self, said: Any) -> tuple[int, Any]:  # noqa: ARG002
        return 400, {"code": "duplicate_parameter", "message": "The idempotency key was used before."}


class SparkPost(Api):
    """One mail a call."""

    def read(self, item: Any) -> Mail:
        return Mail(item["recipients"][0]["address"]["email"], item["metadata"]["id"])

    def good(self, asked: Any, taken: Sequence[Taken]) -> Any:  # noqa: ARG002
        counts = {"total_accepted_recipients": 1, "total_rejected_recipients": 0}
        return {"results": counts | {"id": taken[0].provider_id}}


# By the first part of the path, which is what a machine's setting of the API's address ends with.
APIS: Mapping[str, Api] = {"postmark": Postmark(), "resend": Resend(), "brevo": Brevo(), "sparkpost": SparkPost()}
