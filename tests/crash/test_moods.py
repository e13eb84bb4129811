"""The sink's treatment of a unit can be repeated by its seed, and is what was asked for."""

import pytest

from tests.crash.moods import MOODS, STORIES, Plan, Treatment, fault


def test_a_plan_without_shares_takes_everything():
    assert {Plan().treatment(f"{n}@example.org", 1) for n in range(100)} == {Treatment("", True, 0.0)}


def test_the_same_seed_treats_the_same_unit_in_the_same_way():
    plan, same, other = (Plan(seed, (("reset:taken", 0.5),), (0.0, 1.0)) for seed in (1, 1, 2))
    readers = [f"{n}@example.org" for n in range(50)]

    assert [plan.treatment(r, 1) for r in readers] == [same.treatment(r, 1) for r in readers]
    assert [plan.treatment(r, 1) for r in readers] != [other.treatment(r, 1) for r in readers]
    assert [plan.treatment(r, 1) for r in readers] != [plan.treatment(r, 2) for r in readers]


@pytest.mark.parametrize("mood", sorted(MOODS))
def test_a_mood_comes_about_as_often_as_its_share(mood):
    plan = Plan(3, (("denied" if mood != "denied" else "throttled", 0.2), (mood, 0.3)))
    answers = [plan.treatment(f"{n}@example.org", 1, provider="smtp" if mood == "early" else "") for n in range(1000)]
    answer, is_taken = fault(mood, "smtp" if mood == "early" else "")

    found = [each for each in answers if (each.delay_s if mood == "slow" else each.answer == answer)]
    assert 240 < len(found) < 360
    assert {(each.answer, each.is_taken) for each in found} == {(answer, is_taken)}


def test_every_mood_comes_once_in_its_turn_and_good_answers_between():
    plan = Plan(each=("denied", "hang:taken", "throttled"))

    answers = [plan.treatment("a@example.org", 1, number).answer for number in range(1, 7)]
    assert answers == ["denied", "hang", "", "throttled", "", ""]


def test_a_plan_for_one_provider_leaves_the_others_alone():
    plan = Plan(shares=(("denied", 1.0),), provider="smtp")
    down = Plan(provider="smtp", is_down=True)

    assert plan.treatment("a@example.org", 1, provider="smtp").answer == "denied"
    assert not plan.treatment("a@example.org", 1, provider="resend").answer
    assert [down.shuts(name) for name in ("smtp", "resend")] == [True, False]
    assert down.treatment("a@example.org", 1, provider="smtp") == Treatment("reset", is_taken=False, delay_s=0.0)


def test_each_protocol_says_what_it_can():
    assert [fault("error:lost", name) for name in ("smtp", "resend")] == [("reset", False), ("error", False)]
    assert [fault("early", name) for name in ("smtp", "resend")] == [("early", False), ("unavailable", False)]


def test_a_plan_that_names_no_mood_is_refused():
    with pytest.raises(ValueError, match="sulking"):
        Plan.of({"shares": [["sulking", 1]]})


def test_a_mailbox_that_is_not_there_is_not_there_the_next_time_either():
    plan = Plan(5, refused=0.3)
    refused = [plan.refuses(f"{n}@example.org") for n in range(1000)]

    assert 240 < sum(refused) < 360
    assert refused == [Plan(5, refused=0.3).refuses(f"{n}@example.org") for n in range(1000)]


def test_a_plan_comes_over_json_as_it_was():
    asked = {"seed": 4, "shares": [["hang:lost", 0.1]], "delay_s": [0, 0.5], "webhooks": "http://127.0.0.1/"}

    assert Plan.of(asked) == Plan(4, (("hang:lost", 0.1),), (0, 0.5), webhooks="http://127.0.0.1/")


def test_events_end_with_what_the_mail_came_to():
    plan = Plan(6, events=1)

    assert {plan.reports(f"{n}@example.org") for n in range(100)} == set(STORIES)
    assert {Plan(6, events=0).reports(f"{n}@example.org") for n in range(100)} == {()}
