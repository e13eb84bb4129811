"""Clients and parsers that nobody here wrote: boto3 against a moto server, the strict parser, a DKIM signature."""

import base64
import email
import email.policy
import re
import socketserver
import threading
from collections.abc import Iterator
from typing import Any

import boto3
import dkim
import pytest
from anymail.exceptions import AnymailAPIError
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError, ReadTimeoutError
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.utils import timezone

from newsletter import outcomes
from newsletter.models import Delivery
from newsletter.sending import deliver_chunk
from newsletter.settings import ANYMAIL
from tests.factories import make_digest, make_edition, make_paper, make_subscriber
from tests.message_checks import check_message
from tests.newsletter.smtp import SmtpServer

pytestmark = pytest.mark.django_db

ACCOUNT, REGION = "123456789012", "eu-west-1"
KEYS = {"aws_access_key_id": "made-up", "aws_secret_access_key": "made-up", "region_name": REGION}
STRICT = email.policy.default.clone(raise_on_defect=True)


def digest(**reader: Any) -> Delivery:
    papers = tuple(make_paper(title=f"Über große Modelle, Teil {n}: {{{{ x }}}} & 50 % <b>") for n in range(3))
    return make_digest(make_edition(papers=papers), make_subscriber(**reader), count=3)


def send(delivery: Delivery) -> dict[str, int]:
    counts = deliver_chunk(delivery.chunk_id or 0, timezone.now())
    delivery.refresh_from_db()
    return dict(counts)


# Amazon's own client ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def amazon() -> Iterator[str]:
    """A server that answers as Amazon does, with our domain verified; yields its address."""
    from moto.server import ThreadedMotoServer  # noqa: PLC0415 - seconds, for whoever collects this file

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    boto3.client("sesv2", endpoint_url=url, **KEYS).create_email_identity(EmailIdentity="paperboy.localhost")
    yield url
    server.stop()


@pytest.fixture
def ses(settings: Any) -> Any:
    """Send by Amazon's client, with our own settings for it, to an address."""

    def by(url: str) -> None:
        settings.EMAIL_PROVIDER = "amazon_ses"
        settings.EMAIL_BACKEND = "anymail.backends.amazon_ses.EmailBackend"
        ours = ANYMAIL["AMAZON_SES_CLIENT_PARAMS"]
        settings.ANYMAIL = {"AMAZON_SES_CLIENT_PARAMS": {**ours, **KEYS, "endpoint_url": url}}

    return by


def taken() -> list[Any]:
    from moto.ses.models import ses_backends  # noqa: PLC0415 - as above

    return list(ses_backends[ACCOUNT][REGION].sent_messages)


def test_a_digest_goes_through_amazons_own_client(ses: Any, amazon: str) -> None:
    ses(amazon)
    before, delivery = len(taken()), digest()

    assert send(delivery) == {"sent": 1}

    [raw] = taken()[before:]
    assert (delivery.state, delivery.provider_message_id) == ("accepted", raw.id)
    assert set(raw.destinations) == {delivery.subscriber.email}
    assert check_message(raw.raw_data.encode(), "http://127.0.0.1:8000") == []


def test_an_address_that_amazon_does_not_let_us_send_from_fails_no_reader(ses: Any, amazon: str, settings: Any) -> None:
    ses(amazon)
    settings.DEFAULT_FROM_EMAIL = "Paperboy <digest@elsewhere.example>"
    delivery = digest()

    assert send(delivery)["provider_fault"] == 1

    assert (delivery.state, delivery.attempt) == ("retry", 0)
    assert "authority to send" in delivery.error


class _CutsOff(socketserver.BaseRequestHandler):
    """Reads a request to its end and answers nothing."""

    calls = 0

    def handle(self) -> None:
        head, _, body = self.request.recv(65536).partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        while length and len(body) < int(length[1]):
            body += self.request.recv(65536)
        type(self).calls += 1


def test_what_may_have_gone_is_not_sent_again_by_amazons_client(ses: Any) -> None:
    _CutsOff.calls = 0
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _CutsOff) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        ses(f"http://127.0.0.1:{server.server_address[1]}")
        delivery = digest()
        send(delivery)
        server.shutdown()

    assert (delivery.state, _CutsOff.calls) == ("unknown", 1)


def of_amazon(code: str, words: str, status: int = 400) -> ClientError:
    answer = {"Error": {"Code": code, "Message": words}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, "SendEmail")


@pytest.mark.parametrize(
    ("cause", "kind"),
    [
        (of_amazon("TooManyRequestsException", "Maximum sending rate exceeded.", 429), "retry"),
        (of_amazon("ThrottlingException", "Daily message quota exceeded."), "retry"),
        (of_amazon("AccountSuspendedException", "The account is suspended."), "provider_fault"),
        (of_amazon("MessageRejected", "Email address is not verified."), "provider_fault"),
        (of_amazon("UnrecognizedClientException", "The security token is invalid.", 403), "provider_fault"),
        (of_amazon("MessageRejected", "Transaction failed: invalid recipient address"), "failed"),
        (of_amazon("InternalServiceErrorException", "", 500), "unknown"),
        (EndpointConnectionError(endpoint_url="http://127.0.0.1:9"), "retry"),
        (NoCredentialsError(), "provider_fault"),
        (ReadTimeoutError(endpoint_url="http://127.0.0.1:9"), "unknown"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_amazons_client_raises_is_read(cause: Exception, kind: str) -> None:
    error = AnymailAPIError(str(cause), response=getattr(cause, "response", None))
    error.__cause__ = cause

    assert outcomes.classify(error, has_sent_body=None).kind == kind


# What arrives -----------------------------------------------------------------------------------


@pytest.fixture
def arrived(settings: Any) -> Any:
    """Send a digest by SMTP to a server; return the bytes that arrived there."""

    def send_one() -> bytes:
        with SmtpServer() as server:
            settings.EMAIL_PROVIDER = "smtp"
            settings.EMAIL_BACKEND = "newsletter.providers.SmtpBackend"
            settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.port
            assert send(digest()) == {"sent": 1}
            return bytes(server.handler.received[0].original_content or b"")

    return send_one


def test_the_strict_parser_reads_every_header_and_part_of_what_arrives(arrived: Any) -> None:
    message = email.message_from_bytes(arrived(), policy=STRICT)

    assert "Über große Modelle, Teil 0" in message["Subject"]
    for part in message.walk():
        assert part.defects == []
        assert [header.defects for header in part.values() if header.defects] == []
    text, html = message.get_body(("plain",)), message.get_body(("html",))
    assert text is not None
    assert html is not None
    assert "{{ x }} & 50 % <b>" in text.get_content()
    assert "{{ x }} &amp; 50 % &lt;b&gt;" in html.get_content()


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def signed(raw: bytes, key: rsa.RSAPrivateKey) -> bytes:
    """Return the mail as a provider sends it on: signed over both unsubscribe headers, as RFC 8058 wants it."""
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    covered = [b"from", b"to", b"subject", b"date", b"message-id", b"list-unsubscribe", b"list-unsubscribe-post"]
    return bytes(dkim.sign(raw, b"digest", b"paperboy.localhost", pem, include_headers=covered)) + raw


def is_valid(mail: bytes, key: rsa.RSAPrivateKey) -> bool:
    public = key.public_key()
    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    record = b"v=DKIM1; k=rsa; p=" + base64.b64encode(der)
    return bool(dkim.verify(mail, dnsfunc=lambda *_, **__: record))


def test_a_signature_over_both_unsubscribe_headers_holds(arrived: Any, key: rsa.RSAPrivateKey) -> None:
    mail = signed(arrived(), key)

    signature = re.sub(rb"\s", b"", mail.split(b"\r\n\r\n")[0])
    assert b"list-unsubscribe:list-unsubscribe-post" in signature
    assert is_valid(mail, key)
    for name in (b"List-Unsubscribe: <", b"List-Unsubscribe-Post: "):
        assert mail.count(b"\n" + name) == 1
        assert not is_valid(mail.replace(b"\n" + name, b"\n" + name + b"x"), key)
