"""Providers that take many mails in a call, as far as a test needs them: where they listen and how they answer."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_httpserver import HTTPServer

Mail = dict[str, Any]


@dataclass(frozen=True)
class Api:
    """One provider's API; ``said`` is its answer to so many mails, the refused ones by their number."""

    name: str
    path: str
    size: int
    anymail: Mapping[str, str]
    mails: Callable[[Any], Sequence[Mail]]
    to: Callable[[Mail], str]
    headers: Callable[[Mail], Mapping[str, str]]
    opaque_id: Callable[[Mail], str]
    bodies: Callable[[Mail], tuple[str, str, str]]  # subject, text, HTML
    said: Callable[[int, Mapping[int, str]], Any] | None

    def settings(self, server: HTTPServer) -> dict[str, Any]:
        return {**self.anymail, f"{self.name.upper()}_API_URL": server.url_for("/"), "REQUESTS_TIMEOUT": 1}


def _postmark(count: int, refused: Mapping[int, str]) -> Any:
    return [
        {"ErrorCode": 300, "Message": refused[n]}
        if n in refused
        else {"ErrorCode": 0, "Message": "OK", "MessageID": f"id-{n}", "To": "reader@example.org"}
        for n in range(count)
    ]


def _resend(count: int, refused: Mapping[int, str]) -> Any:
    return {
        "data": [{"id": f"id-{n}"} for n in range(count) if n not in refused],
        "errors": [{"index": n, "message": message} for n, message in refused.items()],
    }


def _mailtrap(count: int, refused: Mapping[int, str]) -> Any:
    return {
        "success": True,
        "responses": [
            {"success": False, "errors": [refused[n]]}
            if n in refused
            else {"success": True, "message_ids": [f"id-{n}"]}
            for n in range(count)
        ],
    }


def _mailjet(count: int, refused: Mapping[int, str]) -> Any:
    def error(message: str) -> Any:
        return {"ErrorCode": "mj-0013", "StatusCode": 400, "ErrorMessage": message, "ErrorRelatedTo": ["To[0].Email"]}

    return {
        "Messages": [
            {"Status": "error", "Errors": [error(refused[n])]}
            if n in refused
            else {"Status": "success", "To": [{"Email": "reader@example.org", "MessageID": f"id-{n}"}]}
            for n in range(count)
        ]
    }


POSTMARK = Api(
    name="postmark",
    path="/email/batch",
    size=500,
    anymail={"POSTMARK_SERVER_TOKEN": "made-up"},
    mails=lambda body: body,
    to=lambda mail: mail["To"],
    headers=lambda mail: {header["Name"]: header["Value"] for header in mail["Headers"]},
    opaque_id=lambda mail: mail["Metadata"]["id"],
    bodies=lambda mail: (mail["Subject"], mail["TextBody"], mail["HtmlBody"]),
    said=_postmark,
)
RESEND = Api(
    name="resend",
    path="/emails/batch",
    size=100,
    anymail={"RESEND_API_KEY": "made-up"},
    mails=lambda body: body,
    to=lambda mail: mail["to"][0],
    headers=lambda mail: mail["headers"],
    opaque_id=lambda mail: json.loads(mail["headers"]["X-Metadata"])["id"],
    bodies=lambda mail: (mail["subject"], mail["text"], mail["html"]),
    said=_resend,
)
BREVO = Api(
    name="brevo",
    path="/smtp/email",
    size=1000,
    anymail={"BREVO_API_KEY": "made-up"},
    mails=lambda body: body["messageVersions"],
    to=lambda mail: mail["to"][0]["email"],
    headers=lambda mail: mail["headers"],
    opaque_id=lambda mail: json.loads(mail["headers"]["X-Mailin-custom"])["id"],
    bodies=lambda mail: (mail["subject"], mail["textContent"], mail["htmlContent"]),
    said=None,  # it takes all or none
)
MAILTRAP = Api(
    name="mailtrap",
    path="/batch",
    size=500,
    anymail={"MAILTRAP_API_TOKEN": "made-up"},
    mails=lambda body: body["requests"],
    to=lambda mail: mail["to"][0]["email"],
    headers=lambda mail: mail["headers"],
    opaque_id=lambda mail: mail["custom_variables"]["id"],
    bodies=lambda mail: (mail["subject"], mail["text"], mail["html"]),
    said=_mailtrap,
)
MAILJET = Api(
    name="mailjet",
    path="/send",
    size=50,
    anymail={"MAILJET_API_KEY": "made-up", "MAILJET_SECRET_KEY": "made-up"},
    mails=lambda body: body["Messages"],
    to=lambda mail: mail["To"][0]["Email"],
    headers=lambda mail: mail["Headers"],
    opaque_id=lambda mail: json.loads(mail["EventPayload"])["id"],
    bodies=lambda mail: (mail["Subject"], mail["TextPart"], mail["HTMLPart"]),
    said=_mailjet,
)
APIS = [POSTMARK, RESEND, BREVO, MAILTRAP, MAILJET]


def accepted(api: Api, count: int, refused: Mapping[int, str] | None = None) -> Any:
    """Return the provider's answer to a call of ``count`` mails."""
    if api.said is None:
        return {"messageIds": [f"id-{n}" for n in range(count)]}
    return api.said(count, refused or {})
