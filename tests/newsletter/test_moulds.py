"""A mail that is cast in a mould is Anymail's own to the byte, at every provider that takes batches."""

import html
from typing import Any

import pytest
from django.core.mail import get_connection
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from newsletter import batches
from newsletter.moulds import Moulds
from subscribers import emails
from subscribers.mime import Body, Piece
from tests.factories import make_subscriber
from tests.newsletter.batch_apis import APIS, POSTMARK

pytestmark = pytest.mark.django_db

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40) | st.sampled_from(
    ["{{ x }}", "{{{ x", "{% y %}", '"\\', "é€", "a\r\nb", "\u2028"]
)
addresses = st.sampled_from(
    ["a@example.org", "a.b+c@mail.example.org", "..a@example.org", '"x y"@example.org', "é@exämple.org"]
)
names = st.sampled_from(["abc2", "a-b", '"\\', "é", ""])
bodies = st.lists(st.builds(Piece, texts), max_size=3).map(Body)


@pytest.fixture(params=APIS, ids=lambda api: api.name)
def connection(request, settings, httpserver):
    settings.ANYMAIL = request.param.settings(httpserver)
    settings.POSTMARK_STREAM = "broadcast"
    return get_connection(f"anymail.backends.{request.param.name}.EmailBackend")


def mail(reader, number: int = 1, **changes):
    values: dict[str, Any] = {"subject": f"Papers {number}", "text": f"Text {number}\n", "html": f"<p>{number}</p>"}
    values |= {"from_email": "Paper <digest@example.org>", "message_id": f"<{number}@example.org>"}
    return emails.compose(reader, **(values | {"opaque_id": f"abc{number}", "list_unsubscribe": True} | changes))


def by_anymail(connection, message):
    payload = connection.build_message_payload(message, connection.send_defaults)
    return batches.item(batches.BATCHES[connection.esp_name], payload)


def counted(connection, monkeypatch):
    """Count Anymail's payloads; everything is still made by it."""
    built = []
    build = connection.build_message_payload

    def counting(message, defaults):
        built.append(message)
        return build(message, defaults)

    monkeypatch.setattr(connection, "build_message_payload", counting)
    return built


def test_mails_of_one_shape_are_taken_apart_by_anymail_once(connection, monkeypatch):
    moulds = Moulds(connection, batches.BATCHES[connection.esp_name])
    mails = [mail(make_subscriber(), number) for number in range(5)]
    expected = [by_anymail(connection, each) for each in mails]
    built = counted(connection, monkeypatch)

    assert [moulds.item(each) for each in mails] == expected
    assert len(built) == 2  # the marked one, and the one it is held against
    assert moulds.asked["method"] == "POST"


@hypothesis_settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_a_mail_says_it_is_anymails_own(connection, data):
    moulds = Moulds(connection, batches.BATCHES[connection.esp_name])
    reader = make_subscriber()
    moulds.item(mail(reader))
    message = mail(reader, 2)
    message.to, message.subject, message.metadata = [data.draw(addresses)], data.draw(texts), {"id": data.draw(names)}
    message.text, message.html = data.draw(bodies), data.draw(bodies)
    message.extra_headers["List-Id"] = data.draw(texts)
    try:
        expected = by_anymail(connection, message)
    except Exception as error:  # noqa: BLE001 - whatever it is that Anymail raises
        with pytest.raises(type(error)):
            moulds.item(message)
    else:
        assert moulds.item(message) == expected


@pytest.mark.parametrize("more", [{"tags": ["one"]}, {"cc": ["b@example.org"]}, {"metadata": {"id": "1", "own": "2"}}])
def test_what_else_is_set_on_a_message_is_left_to_anymail(connection, more):
    moulds = Moulds(connection, batches.BATCHES[connection.esp_name])
    messages = [mail(make_subscriber(), number) for number in range(2)]
    moulds.item(messages[0])
    for name, value in more.items():
        setattr(messages[1], name, value)

    assert moulds.item(messages[1]) == by_anymail(connection, messages[1])


def test_a_value_of_which_more_than_json_is_made_is_left_to_anymail(settings, httpserver):
    class Escaping(batches.Postmark):
        def item(self, data):
            return super().item(data) | {"Subject": html.escape(data["Subject"])}

    settings.ANYMAIL = POSTMARK.settings(httpserver)
    moulds = Moulds(get_connection("anymail.backends.postmark.EmailBackend"), Escaping())
    plain, other = (moulds.item(mail(make_subscriber(), subject=subject)) for subject in ("Papers", "<Papers>"))

    assert b'"Subject": "Papers"' in plain.body
    assert b'"Subject": "&lt;Papers&gt;"' in other.body
