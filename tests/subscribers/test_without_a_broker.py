"""A sign-up is answered and kept whatever the broker does; its mail goes out with the next round."""

import base64
import datetime as dt
import json
import logging
import socket
import threading
import uuid
from collections.abc import Iterator

import pytest
import redis
from django.utils import timezone

from newsletter.celery import app as celery_app
from subscribers import emails, publishing
from subscribers.forms import stamp
from subscribers.models import Mail
from tests.conftest import REDIS_URL
from tests.factories import make_subscriber

pytestmark = pytest.mark.django_db


def url_of(server):
    return f"redis://127.0.0.1:{server.getsockname()[1]}/0"


@pytest.fixture
def silent_broker(settings) -> Iterator[socket.socket]:
    """A port that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)
        settings.REDIS_URL = url_of(server)
        yield server


@pytest.fixture
def stopped_broker(settings) -> None:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        settings.REDIS_URL = url_of(server)


def sign_up(client, django_capture_on_commit_callbacks):
    """Answer a sign-up with what follows its commit, in this thread."""
    started = stamp(timezone.now() - dt.timedelta(seconds=5))
    with django_capture_on_commit_callbacks(execute=True):
        return client.post("/subscribe", {"email": "ada@example.org", "interests": "robots", "started": started})


def wait_until_published():
    publishing._notes.join()


def test_a_broker_that_never_answers_is_waited_for_by_the_publisher_alone(
    client, silent_broker, django_capture_on_commit_callbacks
):
    answer = sign_up(client, django_capture_on_commit_callbacks)

    # We are here, with the answer and the row, while the note still waits in the other thread.
    assert publishing.unpublished() == 1
    assert answer.status_code == 303
    assert Mail.objects.get().state == Mail.State.PENDING
    assert "publisher" in {thread.name for thread in threading.enumerate()}
    caller, _ = silent_broker.accept()
    assert caller.recv(1)  # it has asked, and gets no answer
    assert publishing.unpublished() == 1
    silent_broker.close()
    caller.close()
    wait_until_published()


def test_with_redis_stopped_the_mail_goes_out_with_the_next_round(
    client, stopped_broker, django_capture_on_commit_callbacks, provider, caplog
):
    with caplog.at_level(logging.WARNING, logger="subscribers.publishing"):
        assert sign_up(client, django_capture_on_commit_callbacks).status_code == 303
        wait_until_published()

    assert "1 notes wait for the next tick" in caplog.text
    assert "ada@" not in caplog.text
    assert emails.send_due(timezone.now(), provider) == {"accepted": 1}
    assert provider.addresses == ["ada@example.org"]


def test_without_a_broker_nothing_is_published(client, django_capture_on_commit_callbacks):
    assert sign_up(client, django_capture_on_commit_callbacks).status_code == 303

    assert publishing.unpublished() == 0


def test_a_broker_that_falls_far_behind_fills_no_memory(silent_broker, caplog):
    with caplog.at_level(logging.WARNING, logger="subscribers.publishing"):
        for number in range(1100):
            publishing.publish("newsletter.tasks.send_mail", number)

    assert publishing.unpublished() <= 1001
    assert "does not keep up" in caplog.text
    caller, _ = silent_broker.accept()
    silent_broker.close()
    caller.close()
    wait_until_published()
    assert "notes wait for the next tick" in caplog.text


def test_nothing_is_published_before_the_rows_are_committed(stopped_broker, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks() as callbacks:
        emails.queue(make_subscriber(), Mail.Kind.WELCOME, timezone.now())

    assert len(callbacks) == 1
    assert publishing.unpublished() == 0


@pytest.mark.services
def test_a_worker_is_told_the_mails_id_and_nothing_else(settings, monkeypatch):
    settings.REDIS_URL = REDIS_URL
    prefix = f"test-{uuid.uuid4()}:"
    monkeypatch.setitem(celery_app.conf.broker_transport_options, "global_keyprefix", prefix)
    client = redis.Redis.from_url(REDIS_URL)

    publishing.publish("newsletter.tasks.send_mail", 42)
    wait_until_published()

    try:
        (note,) = client.lrange(f"{prefix}service", 0, -1)
    finally:
        client.delete(*client.keys(f"{prefix}*") or ["none"])
        client.close()
    message = json.loads(note)
    assert message["headers"]["task"] == "newsletter.tasks.send_mail"
    assert json.loads(base64.b64decode(message["body"]))[0] == [42]
