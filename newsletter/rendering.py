"""One reader's digest out of its stored rows: everything that the templates of the mail need."""

import datetime as dt
import functools
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from django.conf import settings
from django.db.models import Max
from django.utils.formats import date_format
from django.utils.translation import get_language, ngettext
from django.utils.translation import gettext as _

from newsletter import coverage, slots
from newsletter.cards import PLACES, Card, Entry, card, took_off, why_line
from newsletter.languages import number
from newsletter.models import Delivery, DeliveryPicks, Edition, EditionPaper
from newsletter.shortening import short
from papers.models import Listing, Paper
from subscribers import tokens
from subscribers.emails import Link
from subscribers.models import Subscriber

SUBJECT_LENGTH = 70  # of the first paper's title: what a phone shows of a subject
SHORTEST_PREHEADER, LONGEST_PREHEADER = 40, 130
TEMPLATES = [f"emails/{name}.{kind}" for name in ("base", "digest", "_card", "_why") for kind in ("html", "txt")]


@dataclass(frozen=True, slots=True)
class Section:
    """``for_you`` or ``trending``, with its papers in the order of the mail."""

    key: str
    title: str
    intro: str
    entries: tuple[Entry, ...]


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
    welcome: str
    links: tuple[Link, ...]
    mail_url: str
    pixel_url: str
    preferences_url: str
    unsubscribe_url: str
    is_sample: bool


@dataclass(frozen=True, slots=True)
class Span:
    """The editions that a digest covers, newest first, and what was checked for them."""

    editions: tuple[Edition, ...]
    checked: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Material:
    """What the digests of some deliveries are made of, read once for all of them; editions newest first.

    ``votes`` are the upvotes at an edition's closing and those gained in the day before, by edition and
    paper, so that a digest stays the same while they grow; ``version`` is that of the templates. What
    several digests share is made once for each language.
    """

    papers: Mapping[int, Paper]
    list_dates: Mapping[int, dt.date]
    votes: Mapping[tuple[int, int], tuple[int | None, int]]
    editions: Sequence[Edition]
    version: str
    samples: frozenset[int]
    _cards: dict[tuple[int, int, str], Card] = field(default_factory=dict)
    _spans: dict[tuple[dt.date, dt.date, str], Span] = field(default_factory=dict)

    def card(self, edition: Edition, paper_id: int, language: str) -> Card:
        """Return a paper's card in an edition; raises ``KeyError`` for a paper that is not there any more."""
        key = (edition.pk, paper_id, language)
        if key not in self._cards:
            listed_on = self.list_dates.get(paper_id, edition.date)
            self._cards[key] = card(self.papers[paper_id], listed_on, *self.votes.get(key[:2], (None, 0)))
        return self._cards[key]

    def span(self, delivery: Delivery, language: str) -> Span:
        key = (delivery.covers_from, delivery.edition.date, language)
        if key not in self._spans:
            covered = tuple(edition for edition in self.editions if key[0] <= edition.date <= key[1])
            self._spans[key] = Span(covered, coverage.lines(covered))
        return self._spans[key]


def material(deliveries: Collection[Delivery]) -> Material:
    """Read the papers and editions of these deliveries, in four queries however many they are."""
    # A delivery without picks cannot be composed; that is its own failure, not that of the others.
    ids = {paper_id for delivery in deliveries if hasattr(delivery, "picks") for paper_id in delivery.picks.paper_ids}
    listings = Listing.objects.filter(paper__in=ids).order_by().values_list("paper").annotate(Max("list_date"))
    rows = EditionPaper.objects.filter(edition__in={delivery.edition_id for delivery in deliveries}, paper__in=ids)
    editions = Edition.objects.filter(
        closed_at__isnull=False,
        date__gte=min((delivery.covers_from for delivery in deliveries), default=dt.date.max),
        date__lte=max((delivery.edition.date for delivery in deliveries), default=dt.date.min),
    )
    votes = {row[:2]: row[2:] for row in rows.values_list("edition", "paper", "upvotes", "gained")}
    papers = Paper.objects.in_bulk(ids)
    samples = frozenset(pk for pk, paper in papers.items() if paper.is_sample)
    return Material(papers, dict(listings), votes, list(editions), template_version(), samples)


def template_version() -> str:
    """Return the version of the digest's templates: mails of different versions are not the same."""
    return slots.version(TEMPLATES)


def digest(delivery: Delivery, of: Material | None = None) -> Digest:
    """Return the digest of a delivery that has picks.

    Nothing but rows goes into it, no clock and no chance, so that it is the same however often it is made.
    """
    of = of or material([delivery])
    picks = delivery.picks
    language = get_language() or ""
    span = of.span(delivery, language)
    words = _words(language)
    sections = _sections(picks, functools.partial(of.card, delivery.edition, language=language), words)
    titles = [entry.card.title for section in sections for entry in section.entries]
    said = _coverage(delivery, picks, span.editions, language)
    reader = delivery.subscriber
    mail_url = tokens.token_link("digest", delivery.token)
    preferences_url = tokens.token_link("preferences", delivery.token)
    unsubscribe_url = tokens.token_link("subscribers:unsubscribe", reader.unsubscribe_token)
    return Digest(
        form=picks.form,
        subject=_subject(titles, span.editions),
        preheader=_preheader(said, titles[1:4], words),
        headline=_headline(*_lengths(sections), language),
        date=delivery.local_date,
        coverage=said,
        sections=sections,
        checked=tuple(filter(None, [_counts(picks, language), *span.checked, _what_is_learnt()])),
        why_you_get_this=_why(reader.frequency, reader.hour, reader.timezone, settings.SITE_NAME, language),
        welcome=words.welcome if picks.counts.get("is_first") else "",
        links=(
            Link(words.view, mail_url),
            Link(words.preferences, preferences_url),
            Link(words.hide, f"{mail_url}mute"),
            Link(words.pause, f"{preferences_url}#pause"),
            Link(words.unsubscribe, unsubscribe_url),
        ),
        mail_url=mail_url,
        pixel_url=tokens.token_link("opened", delivery.token) if settings.TRACK_OPENS else "",
        preferences_url=preferences_url,
        unsubscribe_url=unsubscribe_url,
        is_sample=not of.samples.isdisjoint(picks.paper_ids),
    )


class Words(NamedTuple):
    """What every digest of a language says: looking it up for each of them takes longer than joining a body."""

    for_you: str
    trending: str
    nothing_matched: str
    also: str
    places: Mapping[str, str]
    welcome: str
    view: str
    preferences: str
    hide: str
    pause: str
    unsubscribe: str


@functools.lru_cache(maxsize=64)
def _words(_language: str) -> Words:
    return Words(
        for_you=_("For you"),
        trending=_("Trending today"),
        nothing_matched=_("None of the new papers matches your interests. These are the most talked about."),
        also=_("Also: %(titles)s"),
        places={field: str(name) for field, name in PLACES.items()},
        welcome=_(
            "Welcome! This is your first digest. The links under each paper make the next one fit you better:"
            " more like this, less like this, or hide an interest."
        ),
        view=_("View in browser"),
        preferences=_("Preferences"),
        hide=_("Hide a word"),
        pause=_("Pause"),
        unsubscribe=_("Unsubscribe"),
    )


def _sections(picks: DeliveryPicks, card_of: Callable[[int], Card], words: Words) -> tuple[Section, ...]:
    entries: dict[str, list[Entry]] = {"for_you": [], "trending": []}
    numbers = {interest: number for number, interest in enumerate(picks.interests, start=1)}
    for pick in picks.details:
        why = tuple([why_line(evidence, numbers[evidence["interest"]], words.places) for evidence in pick["why"]])
        card = card_of(pick["paper"])
        if then := pick.get("then"):
            card = replace(card, chance=took_off(then["upvotes"], card.upvotes or 0, then["days"]))
        entries[pick["section"]].append(Entry(card, why))
    matched, trending = tuple(entries["for_you"]), tuple(entries["trending"])
    sections = (
        Section("for_you", words.for_you, "", matched),
        Section("trending", words.trending, "" if matched else words.nothing_matched, trending),
    )
    return tuple([section for section in sections if section.entries])


def _subject(titles: Sequence[str], editions: Sequence[Edition]) -> str:
    if not titles:
        return _("No new papers yet: %(source)s could not be read") % {"source": _failed(editions)}
    first = short(titles[0], SUBJECT_LENGTH)
    others = len(titles) - 1
    if not others:
        return first
    return ngettext("%(first)s, and %(n)d more", "%(first)s, and %(n)d more", others) % {"first": first, "n": others}


def _preheader(said: str, titles: Sequence[str], words: Words) -> str:
    """Return what an inbox shows after the subject, without repeating it: the next titles."""
    others = "; ".join(titles)
    text = f"{said} {words.also % {'titles': others}}" if others else said
    if len(text) < SHORTEST_PREHEADER:
        text += " " + _("With the reason why it was picked for you.")
    return short(text, LONGEST_PREHEADER)


def _lengths(sections: Sequence[Section]) -> tuple[int, int]:
    counts = {section.key: len(section.entries) for section in sections}
    return counts.get("for_you", 0), counts.get("trending", 0)


@functools.lru_cache(maxsize=1024)
def _headline(for_you: int, trending: int, _language: str) -> str:
    if for_you:
        return ngettext("%(n)d paper for you", "%(n)d papers for you", for_you) % {"n": for_you}
    if trending:
        return ngettext("%(n)d trending paper", "%(n)d trending papers", trending) % {"n": trending}
    return _("No new papers yet")


def _coverage(delivery: Delivery, picks: DeliveryPicks, editions: Sequence[Edition], language: str) -> str:
    """Return what was looked at, and since when, in one sentence."""
    if picks.form == DeliveryPicks.Form.SOURCE_LATE:
        return _("%(source)s could not be read. Nothing is lost: what it lists comes with a later digest.") % {
            "source": _failed(editions)
        }
    since = "" if len(editions) <= 1 else _(" since %(day)s") % {"day": _day(delivery.covers_from, delivery.local_date)}
    return _found(picks.counts["considered"], picks.counts["matched"], since, language)


@functools.lru_cache(maxsize=4096)
def _found(considered: int, matched: int, since: str, _language: str) -> str:
    papers = ngettext("%(n)s new paper%(since)s", "%(n)s new papers%(since)s", considered)
    matches = ngettext("%(n)s matches your interests", "%(n)s match your interests", matched)
    if not matched:
        matches = _("none matches your interests")
    return f"{papers % {'n': number(considered), 'since': since}}, {matches % {'n': number(matched)}}."


def _day(date: dt.date, today: dt.date) -> str:
    """Return a day of the last week by its name, an earlier one by its date."""
    return date_format(date, "l" if (today - date).days < 7 else "DAY_OF_YEAR")


def _failed(editions: Iterable[Edition]) -> str:
    names = {coverage.title(source) for edition in editions for source in coverage.failed_sources(edition)}
    return ", ".join(sorted(names)) or _("a source")


def _counts(picks: DeliveryPicks, language: str) -> str:
    if picks.form == DeliveryPicks.Form.SOURCE_LATE:
        return ""
    return _counted(*[picks.counts[name] for name in ("considered", "matched", "muted", "sent_before")], language)


@functools.lru_cache(maxsize=4096)
def _counted(considered: int, matched: int, muted: int, sent_before: int, _language: str) -> str:
    papers = ngettext("%(considered)s new paper", "%(considered)s new papers", considered)
    said = [papers % {"considered": number(considered)}, _("%(matched)s matched") % {"matched": number(matched)}]
    if muted:
        said.append(_("%(muted)s muted") % {"muted": number(muted)})
    if sent_before:
        said.append(_("%(sent_before)s sent before") % {"sent_before": number(sent_before)})
    return f"{', '.join(said)}."


@functools.lru_cache(maxsize=4096)
def _why(frequency: str, hour: int, zone: str, site: str, _language: str) -> str:
    often = {
        Subscriber.Frequency.DAILY: _("every day"),
        Subscriber.Frequency.WEEKDAYS: _("Monday to Friday"),
        Subscriber.Frequency.WEEKLY: _("once a week"),
    }[Subscriber.Frequency(frequency)]
    said = _("You get this mail because you subscribed to %(site)s: %(often)s at %(hour)02d:00, %(zone)s time.")
    return said % {"site": site, "often": often, "hour": hour, "zone": zone}


def _what_is_learnt() -> str:
    """Return what the footer says of what the operator learns from the mail; '' for nothing."""
    if settings.TRACK_OPENS and settings.TRACK_CLICKS:
        return _("Whoever runs this site learns when this mail is opened and which of its papers you follow.")
    if settings.TRACK_OPENS:
        return _("Whoever runs this site learns when this mail is opened.")
    if settings.TRACK_CLICKS:
        return _("Whoever runs this site learns which papers of this mail you follow.")
    return ""
