"""What a provider's HTTP answers mean for a message; Anymail's Postmark backend on a real socket."""

import re
import socket
import threading
import time

import pytest
from django.core.mail import EmailMessage
from pytest_httpserver import HTTPServer
from werkzeug import Response

from newsletter.providers import Provider


@pytest.fixture
def postmark(settings, httpserver: HTTPServer) -> HTTPServer:
    settings.EMAIL_BACKEND = "anymail.backends.postmark.EmailBackend"
    settings.ANYMAIL = {
        "POSTMARK_SERVER_TOKEN": "made-up",
        "POSTMARK_API_URL": httpserver.url_for("/"),
        "REQUESTS_TIMEOUT": 1,
    }
    return httpserver


def send() -> tuple[str, str, float | None, str]:
    message = EmailMessage("Papers", "Seven.", "digest@papers.example.org", ["reader@example.org"])
    with Provider() as provider:
        outcome = provider.send(message)
    return outcome.kind, outcome.provider_message_id, outcome.retry_after_s, outcome.error


def answer(server: HTTPServer, status: int, body: object, **headers: str) -> None:
    server.expect_request("/email").respond_with_json(body, status=status, headers=headers)


def test_an_accepted_message_has_the_providers_id(postmark):
    answer(postmark, 200, {"ErrorCode": 0, "Message": "OK", "MessageID": "abc-1", "To": "reader@example.org"})

    assert send()[:2] == ("accepted", "abc-1")


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (408, {"Message": "too slow"}, "retry"),
        (425, {"Message": "too early"}, "retry"),
        (429, {"Message": "too many requests"}, "retry"),
        (503, {"Message": "maintenance"}, "retry"),
        (401, {"ErrorCode": 10, "Message": "Bad or missing Server API token."}, "provider_fault"),
        (403, {"Message": "forbidden"}, "provider_fault"),
        (404, {"Message": "no such page"}, "provider_fault"),
        (405, {"Message": "not allowed"}, "provider_fault"),
        (407, {"Message": "the proxy wants a log-in"}, "provider_fault"),
        (410, {"Message": "this version of the API is gone"}, "provider_fault"),
        (413, {"Message": "too large"}, "provider_fault"),
        (415, {"Message": "unsupported media type"}, "provider_fault"),
        (400, {"Message": "The stream is unknown"}, "provider_fault"),
        (422, {"ErrorCode": 300, "Message": "Invalid 'From' address: 'digest@papers.example.org'."}, "provider_fault"),
        (422, {"ErrorCode": 400, "Message": "The Sender signature was not found"}, "provider_fault"),
        (422, {"ErrorCode": 300, "Message": "Invalid 'To' address: 'reader@example.org'."}, "failed"),
        (
            422,
            {"ErrorCode": 406, "Message": "Found inactive addresses: reader@example.org. Inactive recipients are."},
            "failed",
        ),
        (422, {"Message": "The address domain.account+token@stream.example is not valid."}, "failed"),
        (400, {"Message": "Invalid metadata content."}, "failed"),
        (500, {"Message": "oops"}, "unknown"),
        (502, {"Message": "bad gateway"}, "unknown"),
        (504, {"Message": "gateway time-out"}, "unknown"),
    ],
)
def test_an_answer_has_its_class(postmark, status, body, kind):
    answer(postmark, status, body)

    assert send()[0] == kind


def test_a_200_that_cannot_be_read_is_unknown(postmark):
    postmark.expect_request("/email").respond_with_data("<html>welcome</html>", content_type="text/html")

    assert send()[0] == "unknown"


def test_a_redirect_is_the_providers_fault_and_is_not_followed(postmark):
    elsewhere = postmark.url_for("/elsewhere")
    postmark.expect_request("/email").respond_with_response(Response(status=302, headers={"Location": elsewhere}))

    assert send()[0] == "provider_fault"
    assert [request.path for request, _ in postmark.log] == ["/email"]


def test_retry_after_is_read(postmark):
    answer(postmark, 429, {"Message": "too many requests"}, **{"Retry-After": "17"})

    assert send()[2] == 17.0


def test_an_answer_that_does_not_come_is_unknown(postmark):
    def hang(_request: object) -> Response:
        time.sleep(1.5)
        return Response("{}")

    postmark.expect_request("/email").respond_with_handler(hang)

    assert send()[0] == "unknown"
    while not postmark.log:  # the late answer must not be logged in another test's time
        time.sleep(0.05)


def test_a_connection_closed_after_the_body_is_unknown(settings, postmark):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        settings.ANYMAIL = settings.ANYMAIL | {"POSTMARK_API_URL": f"http://127.0.0.1:{listener.getsockname()[1]}/"}
        listener.settimeout(5)

        def close_after_reading() -> None:
            connection, _ = listener.accept()
            connection.recv(65536)
            connection.close()

        thread = threading.Thread(target=close_after_reading)
        thread.start()
        kind = send()[0]
        thread.join()

    assert kind == "unknown"


def test_nobody_listening_is_a_retry(settings, postmark):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    settings.ANYMAIL = settings.ANYMAIL | {"POSTMARK_API_URL": f"http://127.0.0.1:{port}/"}

    assert send()[0] == "retry"


def test_a_missing_api_key_is_the_providers_fault(settings, postmark):
    settings.ANYMAIL = {}

    kind, _, _, error = send()

    assert kind == "provider_fault"
    assert "POSTMARK_SERVER_TOKEN" in error


ANSWERS: dict[str, tuple[dict[str, str], int, object, dict[str, str]]] = {
    "mailersend": ({"API_TOKEN": "made-up"}, 202, {}, {"X-Message-Id": "theirs"}),
    "postal": (
        {"API_KEY": "made-up"},
        200,
        {"status": "success", "data": {"messages": {"reader@example.org": {"id": 233843}}}},
        {},
    ),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_a_provider_that_takes_no_metadata_takes_our_mails(settings, httpserver, name):
    own, status, body, headers = ANSWERS[name]
    settings.ANYMAIL = {f"{name.upper()}_{key}": value for key, value in own.items()}
    settings.ANYMAIL[f"{name.upper()}_API_URL"] = httpserver.url_for("/")
    httpserver.expect_request(re.compile(".*")).respond_with_json(body, status=status, headers=headers)
    message = EmailMessage("Papers", "Seven.", "digest@papers.example.org", ["reader@example.org"])
    message.metadata = {"id": "ours"}  # type: ignore[attr-defined]  # read by Anymail

    with Provider(f"anymail.backends.{name}.EmailBackend") as provider:
        outcome = provider.send(message)

    assert (outcome.kind, outcome.provider_message_id) == ("accepted", "theirs" if name == "mailersend" else "233843")


@pytest.mark.parametrize(
    ("backend", "settings_of_ours"),
    [
        (
            "anymail.backends.amazon_ses.EmailBackend",
            {"ANYMAIL": {"AMAZON_SES_CLIENT_PARAMS": {"region_name": "no region"}}},
        ),
        ("newsletter.providers.SmtpBackend", {"EMAIL_USE_TLS": True, "EMAIL_USE_SSL": True}),
    ],
)
def test_settings_with_which_no_connection_can_be_opened_fail_no_reader(settings, backend, settings_of_ours):
    settings.EMAIL_BACKEND = backend
    for name, value in settings_of_ours.items():
        setattr(settings, name, value)

    assert send()[0] == "provider_fault"
