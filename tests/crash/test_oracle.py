"""The oracle of the crash tests can fail: each thing that may go wrong is told, and nothing else is."""

import pytest

from tests.crash.oracle import Handed, Row, Rules, judge

A, B = "a@example.org", "b@example.org"
HOLD, RESEND = Rules(), Rules(policy="resend")
KEYS = Rules(has_keys=True)
KILLED = Rules(interrupted=1)


def sent(address: str = A, **fields: object) -> Row:
    told = {"address": address, "state": "accepted", "unit": "u1", "opaque_id": "m"}
    told |= {"error": "no answer"} if fields.get("state") == "unknown" else {}
    return Row(**(told | fields))  # type: ignore[arg-type]


def mail(address: str = A, call: int = 1, **fields: object) -> Handed:
    return Handed(**({"address": address, "call": call, "opaque_id": "m"} | fields))  # type: ignore[arg-type]


def test_a_mail_for_everybody_is_no_problem():
    verdict = judge([A, B], [sent(), sent(B, state="delivered")], [mail(), mail(B)], HOLD)

    assert verdict.problems == ()
    assert (verdict.due, verdict.handed, verdict.accepted, verdict.twice, verdict.lost) == (2, 2, 2, 0, 0)


@pytest.mark.parametrize(
    ("rows", "handed", "rules", "problem"),
    [
        ([], [], HOLD, f"{A} has 0 rows"),
        ([sent(), sent()], [mail()], HOLD, f"{A} has 2 rows"),
        ([sent(state="pending")], [], HOLD, f"{A} is left as pending"),
        ([sent(state="sending")], [mail()], HOLD, f"{A} is left as sending"),
        ([sent()], [], HOLD, f"{A} is accepted, and the sink never took the mail"),
        ([sent()], [mail(stored=False)], HOLD, f"{A} is accepted, and the sink never took the mail"),
        ([sent()], [mail(), mail(B)], HOLD, f"{B} was sent to and not due"),
        ([sent()], [mail(), mail(call=2)], HOLD, f"{A} got 2 mails"),
        ([sent()], [mail(), mail(call=2)], KEYS, f"{A} got 2 mails"),
        ([sent()], [mail(), mail(call=2)], RESEND, "1 units went twice after 0 deaths"),
        (
            [sent()],
            [mail(answer="error", stored=False), mail(call=2), mail(call=3)],
            RESEND,
            "1 units went twice after 0 deaths",
        ),
        ([sent(is_after_leaving=True)], [mail()], HOLD, f"{A} was sent to after they left"),
        ([sent(state="unknown", error="")], [mail()], KILLED, f"{A} is unknown without an error"),
        (
            [sent()],
            [mail(answer="reset", stored=False, provider="first"), mail(call=2, provider="second")],
            Rules(policy="resend", second="second"),
            f"{A} may have gone by first, and was given to second",
        ),
        (
            [sent(state="unknown")],
            [mail(provider="first", stored=False, answer="hang"), mail(call=2, answer="reset", provider="second")],
            Rules(second="second"),
            f"{A} may have gone by first, and was given to second",
        ),
        ([sent(state="unknown")], [mail()], HOLD, "1 units are unknown after 0 deaths"),
        ([sent(state="unknown")], [mail()], RESEND, f"{A} is unknown, and should have been sent again"),
        ([sent(state="unknown")], [mail(answer="reset")], KEYS, f"{A} is unknown, and had a key"),
        ([sent()], [mail(opaque_id="other")], HOLD, f"{A} got a mail with another id than its row's"),
        (
            [sent(provider_message_id="p2")],
            [mail(provider_message_id="p1")],
            HOLD,
            f"{A} has an id that the sink never gave it: p2",
        ),
        (
            [sent(state="failed", error="no")],
            [mail(stored=False)],
            HOLD,
            f"{A} failed, and the sink never refused the mail: no",
        ),
        (
            [sent(state="skipped", reason="paused")],
            [],
            HOLD,
            f"{A} is skipped as paused, and never left",
        ),
    ],
)
def test_what_is_wrong_is_said(rows, handed, rules, problem):
    assert judge([A], rows, handed, rules).problems == (problem,)


def test_a_row_without_a_reason_or_an_error_explains_nothing():
    refused = [mail(stored=False, refused=True)]

    assert judge([A], [sent(state="failed")], refused, HOLD).problems == (f"{A} is failed without an error",)
    assert judge([A], [sent(state="skipped")], [], HOLD, left=[A]).problems == (f"{A} is skipped without a reason",)
    assert judge([A], [sent(state="skipped")], [], HOLD, left=[A]).lost == 1


@pytest.mark.parametrize("state", ["failed", "skipped"])
def test_a_mail_that_went_to_a_reader_whose_row_denies_it_is_found(state):
    row = sent(state=state, reason="unsubscribed" * (state == "skipped"), error="no" * (state == "failed"))
    handed = [mail(stored=False, refused=True), mail(call=2)]

    assert judge([A], [row], handed, HOLD, left=[A]).problems == (f"{A} is {state}, and the sink took the mail",)


@pytest.mark.parametrize(
    ("rows", "handed", "rules"),
    [
        ([sent(state="unknown")], [mail()], KILLED),
        ([sent(state="unknown")], [], KILLED),
        ([sent(state="unknown")], [mail(answer="reset")], HOLD),
        ([sent(state="unknown")], [mail(stored=False, answer="hang")], HOLD),
        ([sent()], [mail(), mail(call=2)], Rules(policy="resend", interrupted=1)),
        ([sent()], [mail(answer="error"), mail(call=2)], RESEND),
        ([sent(state="failed", error="no")], [mail(stored=False, refused=True)], HOLD),
        (
            [sent()],
            [mail(answer="denied", stored=False, provider="first"), mail(call=2, provider="second")],
            Rules(second="second"),
        ),
        (
            [sent()],
            [mail(answer="reset", provider="second"), mail(call=2, provider="first")],
            Rules("resend", second="second"),
        ),
    ],
)
def test_what_a_death_or_an_unclear_answer_explains_is_let_pass(rows, handed, rules):
    assert judge([A], rows, handed, rules).problems == ()


def test_one_death_explains_one_unit_however_many_mails_are_in_it():
    together = [sent(state="unknown"), sent(B, state="unknown")]
    apart = [sent(state="unknown"), sent(B, state="unknown", unit="u2")]

    assert judge([A, B], together, [], KILLED).problems == ()
    assert judge([A, B], apart, [], KILLED).problems == ("2 units are unknown after 1 deaths",)


def test_one_death_explains_one_unit_that_went_twice():
    once = [mail(), mail(B)]
    in_parts = [*once, mail(call=2), mail(B, call=3)]
    two = [mail(), mail(B, call=2), mail(call=3), mail(B, call=3)]
    killed = Rules(policy="resend", interrupted=1)

    assert judge([A, B], [sent(), sent(B)], in_parts, killed).problems == ()
    assert judge([A, B], [sent(), sent(B)], two, killed).problems == ("2 units went twice after 1 deaths",)


@pytest.mark.parametrize(
    ("state", "reported", "is_right"),
    [
        ("complained", ["delivered", "complained"], True),
        ("delivered", ["delivered", "complained"], False),
        ("bounced", ["bounced"], True),
        ("accepted", ["delivered"], False),
        ("delivered", ["delivered"], True),
    ],
)
def test_the_last_word_of_the_provider_is_the_state(state, reported, is_right):
    verdict = judge([A], [sent(state=state)], [mail()], HOLD, events={A: reported})

    assert (verdict.problems == ()) == is_right


def test_a_call_with_a_reader_who_left_stays_unknown_in_spite_of_its_key():
    unknown = [sent(state="unknown"), sent(B, state="unknown")]
    apart = [sent(state="unknown"), sent(B, state="skipped", reason="unsubscribed", unit="u2")]

    assert judge([A, B], unknown, [mail(answer="reset"), mail(B, answer="reset")], KEYS, left=[B]).problems == ()
    assert judge([A, B], unknown, [], KEYS, left=[B]).problems == ()
    assert judge([A, B], apart, [mail(answer="reset")], KEYS, left=[B]).problems == (f"{A} is unknown, and had a key",)


def test_a_call_with_a_reader_who_left_may_go_twice_only_by_the_policy():
    rows, handed = [sent(), sent(B)], [mail(), mail(B), mail(call=2)]

    assert judge([A, B], rows, handed, KEYS, left=[B]).problems == (f"{A} got 2 mails",)
    assert judge([A, B], rows, handed, Rules("resend", has_keys=True), left=[B]).problems == ()
