"""The short form of the crash matrix: real processes die, freeze and are told everything twice, and nothing is lost."""

import os
from collections.abc import Callable

import pytest

from tests.crash import scenes, servers
from tests.crash.matrix import LONG, SHORT, play_all, problems, table

SEED = 20261120


def test_the_long_form_has_a_death_and_a_freeze_of_each_kind_and_enough_of_them():
    played = [(setup, act) for setup, acts in LONG for act in acts]
    steps = [step for _, act in played for step in act.steps]

    assert {*steps} >= scenes.DEATHS | scenes.FREEZES
    assert sum(step in scenes.DEATHS for step in steps) >= 50
    assert sum(setup.mails for setup, _ in played) >= 4000


@pytest.mark.services
@pytest.mark.timeout(400)
def test_nothing_is_lost_or_sent_twice_whatever_dies(record_property: Callable[[str, object], None]) -> None:
    if lacking := servers.lacking():
        (pytest.fail if "services" in os.environ.get("REQUIRE", "") else pytest.skip)(lacking)

    lines = play_all(SHORT, SEED, at_once=len(SHORT))

    record_property("table", table(lines))
    assert problems(lines) == []
