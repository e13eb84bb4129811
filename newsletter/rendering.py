"""One reader's digest out of its stored rows: everything that the templates of the mail need."""

import datetime as dt
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from django.conf import settings
from django.db.models import Max
from django.utils.formats import date_format
from django.utils.text import Truncator
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from newsletter import coverage
from newsletter.cards import Card, card
from newsletter.models import Delivery, DeliveryPicks, Edition
from papers.models import Listing, Paper
from subscribers import tokens
from subscribers.models import Subscriber

SUBJECT_LENGTH = 70  # of the first paper's title: what a phone shows of a subject
SHORTEST_PREHEADER, LONGEST_PREHEADER = 40, 130
MAILBOX_LENGTH = 60


@dataclass(frozen=True, slots=True)
class Section:
    """``for_you`` or ``trending``, with its cards in the order of the mail."""

    key: str
    title: str
    intro: str
    cards: tuple[Card, ...]


@dataclass(frozen=True, slots=True)
class Digest:
    """All that a digest says; ``form`` is ``digest``, or ``source_late``: the short mail without papers."""

    form: str
    subject: str
    preheader: str
    headline: str
    date: dt.date
    coverage: str
    sections: tuple[Section, ...]
    checked: tuple[str, ...]
    why_you_get_this: str
    preferences_url: str
    unsubscribe_url: str
    site_url: str
    postal_address: str
    is_sample: bool


@dataclass(frozen=True, slots=True)
class Material:
    """What the digests of some deliveries are made of, read once for all of them; editions newest first."""

    papers: Mapping[int, Paper]
    list_dates: Mapping[int, dt.date]
    editions: Sequence[Edition]


def material(deliveries: Collection[Delivery]) -> Material:
    """Read the papers and editions of these deliveries, in three queries however many they are."""
    # A delivery without picks cannot be composed; that is its own failure, not that of the others.
    ids = {paper_id for delivery in deliveries if hasattr(delivery, "picks") for paper_id in delivery.picks.paper_ids}
    listings = Listing.objects.filter(paper__in=ids).order_by().values_list("paper").annotate(Max("list_date"))
    editions = Edition.objects.filter(
        closed_at__isnull=False,
        date__gte=min((delivery.covers_from for delivery in deliveries), default=dt.date.max),
        date__lte=max((delivery.edition.date for delivery in deliveries), default=dt.date.min),
    )
    return Material(Paper.objects.in_bulk(ids), dict(listings), list(editions))


def digest(delivery: Delivery, of: Material | None = None) -> Digest:
    """Return the digest of a delivery that has picks.

    Nothing but rows goes into it, no clock and no chance, so that it is the same however often it is made.
    """
    of = of or material([delivery])
    picks = delivery.picks
    editions = [e for e in of.editions if delivery.covers_from <= e.date <= delivery.edition.date]
    sections = _sections(picks, of, delivery.edition.date)
    cards = [card for section in sections for card in section.cards]
    said = _coverage(delivery, picks, editions)
    return Digest(
        form=picks.form,
        subject=_subject(cards, editions),
        preheader=_preheader(said, cards),
        headline=_headline(sections),
        date=delivery.local_date,
        coverage=said,
        sections=sections,
        checked=tuple(filter(None, [_counts(picks), *coverage.lines(editions)])),
        why_you_get_this=_why_you_get_this(delivery.subscriber),
        preferences_url=tokens.link("preferences", delivery.token),
        unsubscribe_url=tokens.link("subscribers:unsubscribe", delivery.subscriber.unsubscribe_token),
        site_url=tokens.link("papers:home"),
        postal_address=settings.POSTAL_ADDRESS,
        is_sample=any(of.papers[paper_id].is_sample for paper_id in picks.paper_ids),
    )


def _sections(picks: DeliveryPicks, of: Material, edition_date: dt.date) -> tuple[Section, ...]:
    def cards(key: str) -> tuple[Card, ...]:
        return tuple(
            card(of.papers[pick["paper"]], of.list_dates.get(pick["paper"], edition_date), pick["why"])
            for pick in picks.details
            if pick["section"] == key
        )

    matched = cards("for_you")
    intro = "" if matched else _("None of the new papers matches your interests. These are the most talked about.")
    sections = (
        Section("for_you", _("For you"), "", matched),
        Section("trending", _("Trending today"), intro, cards("trending")),
    )
    return tuple(section for section in sections if section.cards)


def _subject(cards: Sequence[Card], editions: Sequence[Edition]) -> str:
    if not cards:
        return _("No new papers yet: %(source)s could not be read") % {"source": _failed(editions)}
    first = Truncator(cards[0].title).chars(SUBJECT_LENGTH)
    others = len(cards) - 1
    if not others:
        return first
    return ngettext("%(first)s, and %(n)d more", "%(first)s, and %(n)d more", others) % {"first": first, "n": others}


def _preheader(said: str, cards: Sequence[Card]) -> str:
    """Return what an inbox shows after the subject, without repeating it."""
    others = "; ".join(card.title for card in cards[1:4])
    text = f"{said} {_('Also: %(titles)s') % {'titles': others}}" if others else said
    if len(text) < SHORTEST_PREHEADER:
        text += " " + _("With the reason why it was picked for you.")
    return Truncator(text).chars(LONGEST_PREHEADER)


def _headline(sections: Sequence[Section]) -> str:
    counts = {section.key: len(section.cards) for section in sections}
    if n := counts.get("for_you"):
        return ngettext("%(n)d paper for you", "%(n)d papers for you", n) % {"n": n}
    if n := counts.get("trending"):
        return ngettext("%(n)d trending paper", "%(n)d trending papers", n) % {"n": n}
    return _("No new papers yet")


def _coverage(delivery: Delivery, picks: DeliveryPicks, editions: Sequence[Edition]) -> str:
    """Return what was looked at, and since when, in one sentence."""
    if picks.form == DeliveryPicks.Form.SOURCE_LATE:
        return _("%(source)s could not be read. Nothing is lost: what it lists comes with a later digest.") % {
            "source": _failed(editions)
        }
    considered, matched = picks.counts["considered"], picks.counts["matched"]
    since = "" if len(editions) <= 1 else _(" since %(day)s") % {"day": _day(delivery.covers_from, delivery.local_date)}
    papers = ngettext("%(n)d new paper%(since)s", "%(n)d new papers%(since)s", considered)
    matches = ngettext("%(n)d matches your interests", "%(n)d match your interests", matched)
    if not matched:
        matches = _("none matches your interests")
    return f"{papers % {'n': considered, 'since': since}}, {matches % {'n': matched}}."


def _day(date: dt.date, today: dt.date) -> str:
    """Return a day of the last week by its name, an earlier one by its date."""
    return date_format(date, "l" if (today - date).days < 7 else "j F")


def _failed(editions: Iterable[Edition]) -> str:
    names = {coverage.title(source) for edition in editions for source in coverage.failed_sources(edition)}
    return ", ".join(sorted(names)) or _("a source")


def _counts(picks: DeliveryPicks) -> str:
    if picks.form == DeliveryPicks.Form.SOURCE_LATE:
        return ""
    said = _("%(considered)d new papers, %(matched)d matched") % picks.counts
    if picks.counts["muted"]:
        said += _(", %(muted)d muted") % picks.counts
    if picks.counts["sent_before"]:
        said += _(", %(sent_before)d sent before") % picks.counts
    return f"{said}."


def _why_you_get_this(subscriber: Subscriber) -> str:
    often = {
        Subscriber.Frequency.DAILY: _("every day"),
        Subscriber.Frequency.WEEKDAYS: _("Monday to Friday"),
        Subscriber.Frequency.WEEKLY: _("once a week"),
    }[Subscriber.Frequency(subscriber.frequency)]
    return _("You get this mail because you subscribed to %(site)s: %(often)s at %(hour)02d:00, %(zone)s time.") % {
        "site": settings.SITE_NAME,
        "often": often,
        "hour": subscriber.hour,
        "zone": subscriber.timezone,
    }
