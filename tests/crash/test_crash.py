"""The short form of the crash matrix: real processes die, freeze and are told everything twice, and nothing is lost."""

import os
from collections.abc import Callable

import pytest

from tests.crash import servers
from tests.crash.matrix import SHORT, play_all, problems, table

SEED = 20261120


@pytest.mark.services
@pytest.mark.timeout(400)
def test_nothing_is_lost_or_sent_twice_whatever_dies(record_property: Callable[[str, object], None]) -> None:
    if lacking := servers.lacking():
        (pytest.fail if "services" in os.environ.get("REQUIRE", "") else pytest.skip)(lacking)

    lines = play_all(SHORT, SEED, at_once=len(SHORT))

    record_property("table", table(lines))
    assert problems(lines) == []
