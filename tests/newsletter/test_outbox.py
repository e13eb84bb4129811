"""On the embedded default, a mail is a file."""

import email
import email.policy

import pytest
from django.core.mail import EmailMessage

from newsletter.providers import Provider


@pytest.fixture
def outbox(settings, tmp_path):
    settings.EMAIL_BACKEND = "newsletter.providers.OutboxBackend"
    settings.EMAIL_FILE_PATH = tmp_path / "outbox"
    return settings.EMAIL_FILE_PATH


def mail(to: str) -> EmailMessage:
    return EmailMessage("Papers", "Seven – of them.", "digest@papers.example.org", [to])


def test_each_message_is_a_file_of_its_own(outbox):
    with Provider() as provider:
        assert [provider.send(mail("reader@example.org")).kind for _ in range(3)] == ["accepted"] * 3

    files = sorted(outbox.iterdir())
    assert len(files) == 3
    assert all("reader@example.org" in file.name and file.suffix == ".eml" for file in files)
    parsed = email.message_from_bytes(files[0].read_bytes(), policy=email.policy.default)
    assert parsed["To"] == "reader@example.org"
    assert parsed.get_content() == "Seven – of them."


def test_an_address_cannot_lead_out_of_the_folder(outbox):
    with Provider() as provider:
        provider.send(mail("../../etc/passwd@example.org"))

    assert [file.parent for file in outbox.parent.rglob("*.eml")] == [outbox]


def test_a_folder_that_cannot_be_written_is_a_retry(outbox):
    outbox.write_text("a file stands where the folder should be")

    with Provider() as provider:
        assert provider.send(mail("reader@example.org")).kind == "retry"
