"""A second chance: papers of before that take off now get the last places of For you."""

from collections.abc import Sequence
from dataclasses import replace

from subscribers.selection import Pick, Preferences, Reader, Selection, reserved_places

MOST = 2
SHORTEST_MAIL = 3  # papers: a shorter one has no place to give away
# What chooses them: answers alone, the most talked about first.
WANTED = Preferences(paper_count=MOST, trending_weight=100, wants_trending=False, wants_trending_if_no_match=False)


def with_chances(selection: Selection, chances: Sequence[Pick], reader: Reader) -> Selection:
    """Return the selection with ``chances``, at most two, at the end of For you.

    They take free places first; then that of the last pick, if less is said about it now and no star
    holds it there. A mail of one or two papers has none. The number of papers stays what it was.
    """
    preferences = reader.preferences
    if not chances or preferences.paper_count < SHORTEST_MAIL:
        return selection
    for_you = [pick for pick in selection.picks if pick.section == "for_you"]
    rest = [pick for pick in selection.picks if pick.section != "for_you"]
    if not for_you and not preferences.wants_trending:
        rest = []  # they were there because nothing matched
    room = preferences.paper_count - reserved_places(preferences)
    for number, chance in enumerate(chances[:MOST]):
        last = len(for_you) - 1 - number
        if len(for_you) < room:
            for_you.append(chance)
        elif last >= 0 and for_you[last].trending < chance.trending and not _is_starred(for_you[last], reader):
            del for_you[last]
            for_you.append(chance)
    return replace(selection, picks=(*for_you, *rest[: preferences.paper_count - len(for_you)]))


def _is_starred(pick: Pick, reader: Reader) -> bool:
    starred = {wish.wording for wish in reader.wishes if wish.is_starred}
    return any(why.interest in starred for why in pick.why)
