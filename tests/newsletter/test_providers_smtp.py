"""What an SMTP server's answers, and its silence, mean for a message."""

import contextlib
import socket
import threading

import pytest
from django.core.mail import EmailMessage

from newsletter import providers
from newsletter.providers import Provider
from subscribers.mime import PreparedMessage
from tests.newsletter.smtp import SmtpServer


@pytest.fixture(params=["of Django", "joined", "joined, in turns"])
def kind_of_mail(request):
    """A message that Django serialises, or ours; with a server that takes several commands at once, or not."""
    return request.param


@pytest.fixture
def server(settings, kind_of_mail):
    settings.EMAIL_BACKEND = "newsletter.providers.SmtpBackend"
    settings.EMAIL_HOST = "127.0.0.1"
    settings.EMAIL_TIMEOUT = 5
    with SmtpServer() as server:
        server.handler.has_pipelining = kind_of_mail == "joined"
        settings.EMAIL_PORT = server.port
        yield server


@pytest.fixture
def mail(kind_of_mail):
    """Makes a mail to one address."""

    def make(to: str = "reader@example.org") -> EmailMessage:
        sender, subject, text = "Paperboy <digest@papers.example.org>", "Papers", "Seven of them.\n"
        if kind_of_mail == "of Django":
            return EmailMessage(subject, text, sender, [to])
        html = "<p>Seven of them.</p>"
        return PreparedMessage(subject=subject, text=text, html=html, boundary="1", from_email=sender, to=[to])

    return make


def test_a_message_that_the_server_takes_is_accepted(server, mail):
    with Provider() as provider:
        outcome = provider.send(mail())

    assert outcome.kind == "accepted"
    assert [envelope.rcpt_tos for envelope in server.handler.received] == [["reader@example.org"]]


def test_messages_share_one_connection(server, mail):
    with Provider() as provider:
        for _ in range(3):
            provider.send(mail())

    assert len(server.handler.received) == 3
    assert server.handler.connections == 1


def test_a_connection_that_was_idle_for_long_is_opened_anew(server, mail, monkeypatch):
    monkeypatch.setattr(providers, "IDLE_S", -1.0)

    with Provider() as provider:
        assert [provider.send(mail()).kind for _ in range(2)] == ["accepted"] * 2
    assert server.handler.connections == 2


@pytest.mark.parametrize(
    ("phase", "reply", "kind"),
    [
        ("MAIL", "421 4.3.2 closing down", "retry"),
        ("MAIL", "450 4.7.1 slow down", "retry"),
        ("MAIL", "530 5.7.0 authentication required", "provider_fault"),
        ("MAIL", "550 5.7.1 sender refused", "provider_fault"),
        ("MAIL", "553 5.7.1 not your address", "provider_fault"),
        ("MAIL", "close", "retry"),
        ("RCPT", "421 4.3.2 closing down", "retry"),
        ("RCPT", "450 4.2.0 greylisted", "retry"),
        ("RCPT", "530 5.7.0 authentication required", "provider_fault"),
        ("RCPT", "550 5.1.1 no such user", "failed"),
        ("RCPT", "550 5.1.1 <reader@relay.example.org> is unknown", "failed"),
        ("RCPT", "554 5.7.1 Relay access denied", "provider_fault"),
        ("RCPT", "550 5.7.54 Unable to relay recipient in non-accepted domain", "provider_fault"),
        ("RCPT", "close", "retry"),
        ("DATA", "421 4.3.2 closing down", "retry"),
        ("DATA", "451 4.3.0 local error", "retry"),
        ("DATA", "550 5.7.1 looks like spam", "failed"),
        ("DATA", "close", "unknown"),
    ],
)
def test_a_reply_has_its_class_by_phase(server, phase, reply, kind, mail):
    server.handler.replies[phase] = reply

    with Provider() as provider:
        assert provider.send(mail()).kind == kind


def test_a_connection_that_broke_is_opened_again_for_the_next_message(server, mail):
    server.handler.replies["lost@example.org"] = "close"

    with Provider() as provider:
        kinds = [provider.send(mail(to)).kind for to in ("lost@example.org", "next@example.org")]

    assert kinds == ["retry", "accepted"]


def test_a_refused_recipient_does_not_stop_the_next(server, mail):
    server.handler.replies["gone@example.org"] = "550 5.1.1 no such user"

    with Provider() as provider:
        kinds = [provider.send(mail(to)).kind for to in ("gone@example.org", "next@example.org")]

    assert kinds == ["failed", "accepted"]


@pytest.mark.parametrize(
    ("phase", "reply", "connections"),
    [
        ("gone@example.org", "550 5.1.1 no such user", 1),
        ("gone@example.org", "450 4.2.0 greylisted", 1),
        ("gone@example.org", "421 4.3.2 closing down", 2),
        ("gone@example.org", "close", 2),
        ("MAIL", "530 5.7.0 authentication required", 2),
        ("DATA", "550 5.7.1 looks like spam", 1),
        ("DATA", "200 what", 2),
    ],
)
def test_a_connection_is_kept_after_what_is_about_one_mail(server, mail, phase, reply, connections):
    server.handler.replies[phase] = reply

    with Provider() as provider:
        provider.send(mail("gone@example.org"))
        server.handler.replies.clear()
        assert [provider.send(mail(f"{number}@example.org")).kind for number in range(2)] == ["accepted"] * 2

    assert server.handler.connections == connections
    assert [envelope.rcpt_tos for envelope in server.handler.received] == [["0@example.org"], ["1@example.org"]]


def test_no_empty_mail_goes_by_a_server_that_refuses_the_sender_and_goes_on(server, mail):
    server.handler.replies["MAIL"] = "550 5.7.1 sender refused"

    with Provider() as provider:
        provider.send(mail())

    assert server.handler.received == []


def test_an_error_does_not_name_the_readers_mailbox(server, mail):
    server.handler.replies["RCPT"] = "550 5.1.1 <reader@example.org> is unknown here"

    with Provider() as provider:
        error = provider.send(mail()).error

    assert "is unknown here" in error
    assert "reader@" not in error


def test_a_server_that_cannot_be_reached_is_not_asked_again_for_a_while(settings, server, mail):
    accepted = []

    def hang_up(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                accepted.append(connection)
                connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listener, Provider() as provider:
        settings.EMAIL_PORT = listener.getsockname()[1]
        thread = threading.Thread(target=hang_up, args=[listener])
        thread.start()
        kinds = [provider.send(mail()).kind for _ in range(3)]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()

    assert kinds == ["retry"] * 3
    assert len(accepted) == 1


def test_nobody_listening_is_a_retry(settings, server, mail):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        settings.EMAIL_PORT = listener.getsockname()[1]

    with Provider() as provider:
        assert provider.send(mail()).kind == "retry"


def test_a_log_in_that_is_refused_is_the_providers_fault(settings, server, mail):
    settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD = "user", "password"

    with Provider() as provider:
        outcome = provider.send(mail())

    assert outcome.kind == "provider_fault"
    assert server.handler.received == []


def test_a_line_break_in_a_header_is_that_messages_failure(server, mail):
    broken = mail()
    broken.subject = "Papers\r\nBcc: others@example.org"

    with Provider() as provider:
        assert [provider.send(broken).kind, provider.send(mail()).kind] == ["failed", "accepted"]


@pytest.mark.parametrize("to", [[], ["a@example.org", "b@example.org"]])
def test_a_message_without_exactly_one_recipient_is_not_handed_over(server, to):
    message = EmailMessage("Papers", "Seven.", "digest@papers.example.org", to)

    with Provider() as provider:
        assert provider.send(message).kind == "failed"
    assert server.handler.received == []
