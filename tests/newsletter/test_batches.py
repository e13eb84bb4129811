"""Many whole mails in one call: what each provider is sent, field by field, and what its answers mean for each mail."""

import email.utils
import http.server
import json
import socket
import threading
import time
from collections import Counter
from typing import Any

import pytest
from django.core.mail import EmailMultiAlternatives
from django.utils import timezone
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from newsletter import messages
from newsletter.batches import AT_ONCE
from newsletter.models import Delivery, Edition, ProviderState
from newsletter.outcomes import is_useless
from newsletter.providers import Provider
from newsletter.sending import deliver_chunk
from subscribers.emails import Outcome
from tests.factories import make_digest, make_edition, make_paper
from tests.newsletter.batch_apis import APIS, BREVO, MAILJET, MAILTRAP, POSTMARK, RESEND, Api, accepted

pytestmark = pytest.mark.django_db

NAME = "0123456789abcdef0123456789abcdef"
WITH_ITEMS = [api for api in APIS if api.said]


@pytest.fixture
def api(request, settings, httpserver: HTTPServer) -> Api:
    chosen: Api = request.param
    settings.EMAIL_BACKEND = f"anymail.backends.{chosen.name}.EmailBackend"
    settings.ANYMAIL = chosen.settings(httpserver)
    return chosen


def each(*apis: Api) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("api", apis or APIS, indirect=True, ids=lambda api: api.name)


@pytest.fixture
def mails() -> list[EmailMultiAlternatives]:
    edition = make_edition(papers=(make_paper(title="What {{{ braces }} and {% tags %} do"), make_paper()))
    return [messages.message(make_digest(edition)) for _ in range(3)]


def hand_over(mails: list[EmailMultiAlternatives], name: str = NAME) -> list[Outcome]:
    with Provider() as provider:
        return list(provider.hand_over([provider.prepare(mail) for mail in mails], name))


def kinds(outcomes: list[Outcome]) -> list[str]:
    return [outcome.kind for outcome in outcomes]


def answer(server: HTTPServer, api: Api, body: object, status: int = 200, **headers: str) -> None:
    server.expect_request(api.path, method="POST").respond_with_json(body, status=status, headers=headers)


def request_to(server: HTTPServer) -> tuple[Request, Any]:
    [(request, _)] = server.log
    return request, json.loads(request.get_data())


# What is sent -----------------------------------------------------------------------------------


@each()
def test_one_call_holds_every_mail_whole_with_its_own_headers(api, httpserver, mails):
    answer(httpserver, api, accepted(api, 3))

    outcomes = hand_over(mails)

    assert [(outcome.kind, outcome.provider_message_id) for outcome in outcomes] == [
        ("accepted", f"id-{n}") for n in range(3)
    ]
    sent = api.mails(request_to(httpserver)[1])
    assert [api.to(mail) for mail in sent] == [message.to[0] for message in mails]
    for mail, message in zip(sent, mails, strict=True):
        for name in ("List-Unsubscribe", "List-Unsubscribe-Post", "List-Id", "Auto-Submitted", "Feedback-ID"):
            assert api.headers(mail)[name] == message.extra_headers[name]
        assert api.opaque_id(mail) == message.metadata["id"]
    assert len({api.headers(mail)["List-Unsubscribe"] for mail in sent}) == 3
    assert len({api.opaque_id(mail) for mail in sent}) == 3


@each()
def test_a_call_of_many_mails_has_each_once_and_says_how_long_it_is(api, httpserver, mails):
    edition = Edition.objects.get()
    many = [messages.message(make_digest(edition)) for _ in range(2 * AT_ONCE)] + mails
    answer(httpserver, api, accepted(api, len(many)))

    assert set(kinds(hand_over(many))) == {"accepted"}

    request, said = request_to(httpserver)
    assert [api.to(mail) for mail in api.mails(said)] == [message.to[0] for message in many]
    assert request.content_length == len(request.get_data())
    assert "Transfer-Encoding" not in request.headers


@each()
def test_a_call_that_anymail_prints_for_the_operator_is_taken_all_the_same(api, httpserver, settings, mails, capsys):
    settings.ANYMAIL = settings.ANYMAIL | {"DEBUG_API_REQUESTS": "true"}
    answer(httpserver, api, accepted(api, 3))

    assert kinds(hand_over(mails)) == ["accepted"] * 3

    assert request_to(httpserver)[0].get_data().decode() in capsys.readouterr().out


@each(*(api for api in APIS if api is not BREVO))
def test_the_bodies_are_those_of_the_message(api, httpserver, mails):
    answer(httpserver, api, accepted(api, 3))
    hand_over(mails)

    for mail, message in zip(api.mails(request_to(httpserver)[1]), mails, strict=True):
        assert api.bodies(mail) == (message.subject, message.body, message.alternatives[0][0])


@each(BREVO)
def test_a_template_language_finds_nothing_to_read_in_a_papers_words(api, httpserver, mails):
    answer(httpserver, api, accepted(api, 3))
    hand_over(mails)

    _, body = request_to(httpserver)
    for part in (part for mail in api.mails(body) for part in api.bodies(mail)):
        assert "{{" not in part
        assert "{%" not in part
    subject, text, html = api.bodies(api.mails(body)[0])
    assert subject.startswith("What { { { braces }} and { % tags %} do")
    assert "What { { { braces }}" in text
    assert "What &#123;&#123;{ braces }} and &#123;% tags %} do" in html
    assert "sender" not in api.mails(body)[0]
    assert body["sender"]["email"] == email.utils.parseaddr(mails[0].from_email)[1]


@each(*(api for api in APIS if api is not BREVO))
def test_every_mail_has_the_digests_sender(api, httpserver, mails):
    answer(httpserver, api, accepted(api, 3))
    hand_over(mails)

    address = email.utils.parseaddr(mails[0].from_email)[1]
    for mail in api.mails(request_to(httpserver)[1]):
        assert address in json.dumps(mail.get("From") or mail.get("from"))


@each(POSTMARK)
def test_digests_go_to_postmarks_broadcast_stream(api, httpserver, mails):
    answer(httpserver, api, accepted(api, 3))
    hand_over(mails)

    request, body = request_to(httpserver)
    assert [mail["MessageStream"] for mail in body] == ["broadcast"] * 3
    assert request.headers["X-Postmark-Server-Token"] == "made-up"


@each(RESEND)
def test_resend_is_asked_to_be_permissive_and_given_a_key(api, httpserver, mails):
    answer(httpserver, api, accepted(api, 3))
    hand_over(mails)

    request, _ = request_to(httpserver)
    assert request.headers["x-batch-validation"] == "permissive"
    assert request.headers["Idempotency-Key"] == NAME
    assert request.headers["Authorization"] == "Bearer made-up"


@each(BREVO)
def test_brevo_is_given_the_key_as_a_uuid(api, httpserver, mails):
    answer(httpserver, api, accepted(api, 3))
    hand_over(mails)

    assert request_to(httpserver)[1]["headers"] == {"idempotencyKey": "01234567-89ab-cdef-0123-456789abcdef"}


@each()
def test_the_same_rows_make_the_same_bytes_at_any_time(api, httpserver, time_machine):
    delivery = make_digest()
    answer(httpserver, api, accepted(api, 1))

    for moment in ("2026-07-01T08:00Z", "2026-07-01T11:30Z"):
        time_machine.move_to(moment, tick=True)
        hand_over([messages.message(delivery)])

    first, second = [request.get_data() for request, _ in httpserver.log]
    assert first == second


# What is answered -------------------------------------------------------------------------------


@each(*WITH_ITEMS)
def test_a_mail_that_is_refused_does_not_stop_the_others(api, httpserver, mails):
    answer(httpserver, api, accepted(api, 3, {1: "Invalid 'To' address: 'reader@nowhere'."}))

    outcomes = hand_over(mails)

    assert kinds(outcomes) == ["accepted", "failed", "accepted"]
    assert [outcome.provider_message_id for outcome in outcomes] == ["id-0", "", "id-2"]
    assert "…@nowhere" in outcomes[1].error


@each(*WITH_ITEMS)
def test_a_mail_that_is_refused_for_our_settings_is_nobodys_failure(api, httpserver, mails):
    answer(httpserver, api, accepted(api, 3, dict.fromkeys(range(3), "The domain of the sender is not verified.")))

    # Mailjet names the field; it is still the sender that the words are about.
    assert kinds(hand_over(mails)) == ["provider_fault"] * 3


@each(*WITH_ITEMS)
def test_where_others_were_taken_a_complaint_is_about_its_mail_whatever_its_words(api, httpserver, mails):
    answer(httpserver, api, accepted(api, 3, {1: "The domain is refused."}))

    outcomes = hand_over(mails)

    assert kinds(outcomes) == ["accepted", "retry", "accepted"]
    assert not is_useless(outcomes)


@each(POSTMARK)
def test_a_mail_that_met_with_postmarks_maintenance_is_tried_again(api, httpserver, mails):
    answer(httpserver, api, [{"ErrorCode": 100, "Message": "Maintenance"}] * 3)

    assert kinds(hand_over(mails)) == ["retry"] * 3


@each(MAILJET)
def test_a_4xx_with_an_answer_for_each_mail_is_read_for_each_mail(api, httpserver, mails):
    answer(httpserver, api, accepted(api, 3, {2: '"x" is an invalid email address.'}), status=400)

    assert kinds(hand_over(mails)) == ["accepted", "accepted", "failed"]


@each()
def test_an_answer_of_another_length_is_unknown_for_all(api, httpserver, mails):
    answer(httpserver, api, accepted(api, 2))

    assert kinds(hand_over(mails)) == ["unknown"] * 3


@each()
def test_a_truncated_200_is_unknown_for_all(api, httpserver, mails):
    whole = json.dumps(accepted(api, 3))
    httpserver.expect_request(api.path).respond_with_data(whole[:-9], content_type="application/json")

    assert kinds(hand_over(mails)) == ["unknown"] * 3


@each()
@pytest.mark.parametrize(
    ("status", "said", "kind"),
    [
        (401, "Bad or missing API token", "provider_fault"),
        (403, "The domain is not verified", "provider_fault"),
        (422, "Invalid `from` field: the sender is unknown", "provider_fault"),
        (429, "Too many requests", "retry"),
        (503, "Maintenance", "retry"),
        (500, "Oops", "unknown"),
        (409, "The key is in use", "unknown"),
        # Refused for one of them: half of it may go.
        (422, "Invalid `to` field: it is no address", "unsent"),
        (413, "Payload too large", "unsent"),
    ],
)
def test_a_call_that_is_refused_whole_has_its_class(api, httpserver, mails, *, status, said, kind):
    answer(httpserver, api, {"message": said}, status=status)

    assert kinds(hand_over(mails)) == [kind] * 3


@each(RESEND)
def test_a_mail_that_is_refused_alone_is_its_readers_failure(api, httpserver, mails):
    answer(httpserver, api, {"message": "Invalid `to` field: it is no address"}, status=422)

    assert kinds(hand_over(mails[:1])) == ["failed"]


@each(RESEND)
def test_after_a_call_that_was_too_large_the_next_are_smaller(api, httpserver, mails):
    answer(httpserver, api, {"message": "Payload too large"}, status=413)

    with Provider() as provider:
        sizes = [provider.unit_size]
        provider.hand_over([provider.prepare(mail) for mail in mails], NAME)
        sizes.append(provider.unit_size)

    assert sizes == [100, 1]


@each(BREVO)
def test_a_key_that_brevo_knows_proves_that_the_call_was_taken(api, httpserver, mails):
    answer(httpserver, api, {"code": "duplicate_parameter", "message": "idempotencyKey is a duplicate"}, status=400)

    assert kinds(hand_over(mails)) == ["accepted"] * 3


@each(RESEND)
@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        *[("17", 17), ("0.5", 0.5), ("soon", None), ("1782892800", 86400), ("9" * 400, 86400)],
        *[("Wed, 01 Jul 2026 08:00:30 GMT", 30), ("Wed, 01 Jul 2026 07:59:00 GMT", 0)],
    ],
)
def test_both_forms_of_retry_after_are_read(api, httpserver, mails, time_machine, *, value, seconds):
    time_machine.move_to("2026-07-01T08:00Z", tick=False)
    answer(httpserver, api, {"message": "slow down"}, status=429, **{"Retry-After": value})

    assert [outcome.retry_after_s for outcome in hand_over(mails)] == [seconds] * 3


@each(POSTMARK)
def test_a_call_that_hangs_is_unknown(api, httpserver, mails):
    def hang(_request: object) -> Response:
        time.sleep(1.2)
        return Response("[]")

    httpserver.expect_request(api.path).respond_with_handler(hang)

    assert kinds(hand_over(mails)) == ["unknown"] * 3
    while not httpserver.log:  # the late answer must not be logged in another test's time
        time.sleep(0.05)


@each(POSTMARK)
def test_a_connection_reset_after_the_body_is_unknown(api, settings, mails):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        settings.ANYMAIL = settings.ANYMAIL | {"POSTMARK_API_URL": f"http://127.0.0.1:{listener.getsockname()[1]}/"}
        listener.settimeout(5)
        thread = threading.Thread(target=take_and_reset, args=[listener])
        thread.start()
        ended = kinds(hand_over(mails))
        thread.join()

    assert ended == ["unknown"] * 3


def take_and_reset(listener: socket.socket) -> None:
    """Read a whole request, then reset the connection instead of answering."""
    connection, _ = listener.accept()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    received = connection.recv(65536)
    head, _, body = received.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].split()[0])
    while len(body) < length:
        body += connection.recv(65536)
    connection.close()


@each()
def test_a_missing_key_is_the_providers_fault_and_nobodys_failure(api, settings, mails):
    settings.ANYMAIL = {}

    assert kinds(hand_over(mails)) == ["provider_fault"] * 3


class KeepsAlive(http.server.BaseHTTPRequestHandler):
    """Takes one mail a call, and keeps the connection open; ``ports`` are the callers'."""

    protocol_version = "HTTP/1.1"
    ports = set[int]()

    def do_POST(self) -> None:
        self.ports.add(self.client_address[1])
        self.rfile.read(int(self.headers["Content-Length"]))
        said = json.dumps(accepted(POSTMARK, 1)).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_: object) -> None:
        pass


@each(POSTMARK)
def test_calls_share_one_connection(api, settings, mails):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), KeepsAlive) as server:
        threading.Thread(target=server.serve_forever, args=[0.01]).start()
        settings.ANYMAIL = settings.ANYMAIL | {"POSTMARK_API_URL": f"http://127.0.0.1:{server.server_port}/"}
        with Provider() as provider:
            ended = [provider.hand_over([provider.prepare(mail)], NAME)[0].kind for mail in mails]
        server.shutdown()

    assert ended == ["accepted"] * 3
    assert len(KeepsAlive.ports) == 1


def test_an_address_that_no_provider_would_take_is_found_before_the_call(settings, httpserver):
    settings.EMAIL_BACKEND = "anymail.backends.postmark.EmailBackend"
    settings.ANYMAIL = POSTMARK.settings(httpserver)
    with Provider() as provider, pytest.raises(Exception, match="address"):
        provider.prepare(EmailMultiAlternatives("Papers", "Seven.", "digest@example.org", ["reader@"]))
    assert httpserver.log == []


# With the worker --------------------------------------------------------------------------------


@each(RESEND)
def test_a_chunk_is_sent_in_one_call_and_every_row_has_its_id(api, httpserver):
    edition = make_edition(papers=(make_paper(),))
    deliveries = [make_digest(edition, count=1) for _ in range(3)]
    answer(httpserver, api, accepted(api, 3, {1: "Invalid `to` field."}))

    assert deliver_chunk(deliveries[0].chunk_id or 0, timezone.now()) == Counter(sent=2, failed=1)

    request, _ = request_to(httpserver)
    rows = Delivery.objects.order_by("pk").values_list("state", "provider_message_id", "unit")
    key = request.headers["Idempotency-Key"]
    assert list(rows) == [("accepted", "id-0", key), ("failed", "", key), ("accepted", "id-2", key)]


@each(POSTMARK)
@pytest.mark.parametrize("said", ["no \ud83d text", "no \0 text"], ids=["half of a pair", "NUL"])
def test_of_an_answer_that_no_database_holds_the_rest_is_written_down(api, httpserver, said):
    edition = make_edition(papers=(make_paper(),))
    deliveries = [make_digest(edition, count=1) for _ in range(3)]
    answers = accepted(api, 3, {1: said})
    answers[2]["MessageID"] = said
    answer(httpserver, api, answers)

    assert deliver_chunk(deliveries[0].chunk_id or 0, timezone.now()) == Counter(sent=2, failed=1)

    assert list(Delivery.objects.order_by("pk").values_list("state", "provider_message_id", "error")) == [
        ("accepted", "id-0", ""),
        ("failed", "", "the provider says: 300: no text"),
        ("accepted", "no text", ""),
    ]


@each(MAILTRAP)
def test_one_address_that_has_every_call_refused_fails_alone(api, httpserver):
    edition = make_edition(papers=(make_paper(),))
    deliveries = [make_digest(edition, count=1) for _ in range(4)]
    bad = deliveries[2].subscriber.email

    def refuse(request: Request) -> Response:
        to = [api.to(mail) for mail in api.mails(json.loads(request.get_data()))]
        if bad in to:
            return Response(json.dumps({"success": False, "errors": ["'to' address is invalid"]}), status=400)
        return Response(json.dumps(accepted(api, len(to))), content_type="application/json")

    httpserver.expect_request(api.path).respond_with_handler(refuse)

    assert deliver_chunk(deliveries[0].chunk_id or 0, timezone.now()) == Counter(sent=3, failed=1)

    assert Delivery.objects.get(state="failed").subscriber.email == bad
    assert len(httpserver.log) == 5


@each()
def test_a_wrong_key_leaves_every_row_to_be_sent_and_pauses_the_provider(api, httpserver):
    edition = make_edition(papers=(make_paper(),))
    delivery, _ = make_digest(edition, count=1), make_digest(edition, count=1)
    answer(httpserver, api, {"message": "API key is invalid"}, status=401)

    deliver_chunk(delivery.chunk_id or 0, timezone.now())

    assert set(Delivery.objects.values_list("state", "attempt")) == {("retry", 0)}
    assert ProviderState.objects.get().state == "open"
    assert "made-up" not in ProviderState.objects.get().error
