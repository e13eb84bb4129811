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
from newsletter.cards import Card, Entry, card, took_off, why_line
from newsletter.languages import number
from newsletter.models import Delivery, DeliveryPicks, Edition, EditionPaper
from newsletter.shortening import short, shortened
from papers.models import Listing, Paper
from subscribers import tokens
from subscribers.emails import Link
from subscribers.models import Subscriber

SUBJECT_LENGTH = 70  # of the first paper's title: what a phone shows of a subject
SHORTEST_PREHEADER, LONGEST_PREHEADER = 40, 130
TEMPLATES = [f"emails/{name}.{kind}" for name in ("base", "digest", "_card", "_why") for kind in ("html", "txt")]


class Section(NamedTuple):
    """``for_you`` or ``trending``, with its papers in the order of the mail."""

    key: str
    title: str
    intro: str
    entries: tuple[Entry, ...]


class Digest(NamedTuple):
    """All that a digest says; ``form`` is ``digest``, or ``source_late``: the short mail without papers.

    ``token`` is the mail's own and ``unsubscribe_token`` the reader's; what is made of them, and what all first
    digests of a language say, is made when it is asked for.
    """

    language: str
    form: str
    subject: str
    preheader: str
    headline: str
    date: dt.date
    coverage: str
    sections: tuple[Section, ...]
    checked: tuple[str, ...]
    why_you_get_this: str
    is_first: bool
    is_sample: bool
    token: str
    unsubscribe_token: str

    @property
    def welcome(self) -> str:
        if not self.is_first:
            return ""
        return _(
            "Welcome! This is your first digest. The links under each paper make the next one fit you better:"
            " more like this, less like this, or hide an interest."
        )

    @property
    def mail_url(self) -> str:
        return tokens.token_link("digest", self.token)

    @property
    def preferences_url(self) -> str:
        return tokens.token_link("preferences", self.token)

    @property
    def unsubscribe_url(self) -> str:
        return tokens.token_link("subscribers:unsubscribe", self.unsubscribe_token)

    @property
    def pixel_url(self) -> str:
        return tokens.token_link("opened", self.token) if settings.TRACK_OPENS else ""

    @property
    def links(self) -> tuple[Link, ...]:
        return (
            Link(_("View in browser"), self.mail_url),
            Link(_("Preferences"), self.preferences_url),
            Link(_("Hide a word"), f"{self.mail_url}mute"),
            Link(_("Pause"), f"{self.preferences_url}#pause"),
            Link(_("Unsubscribe"), self.unsubscribe_url),
        )


@dataclass(frozen=True, slots=True)
class Span:
    """The editions that a digest covers, newest first, and what was checked for them."""

    editions: tuple[Edition, ...]
    checked: tuple[str, ...]


Papers = Mapping[int, Paper]
ListDates = Mapping[int, dt.date]
Votes = Mapping[tuple[int, int], tuple[int | None, int]]


class Words(NamedTuple):
    """What every digest of a language says: looking it up for each of them takes longer than joining a body."""

    site: str
    for_you: str
    trending: str
    nothing_matched: str
    also: str
    learnt: str


@dataclass(frozen=True, slots=True)
class Material:
    """What the digests of some deliveries are made of, read once for all of them; editions newest first.

    ``votes`` are the upvotes at an edition's closing and those gained in the day before, by edition and
    paper, so that a digest stays the same while they grow; ``version`` is that of the templates and of
    the site's settings that every mail shows. What several digests share is made once for each language.
    """

    papers: Papers
    list_dates: ListDates
    votes: Votes
    editions: Sequence[Edition]
    version: str
    samples: frozenset[int]
    _cards: dict[tuple[int, str], Callable[[int], Card]] = field(default_factory=dict)
    _spans: dict[tuple[dt.date, dt.date, str], Span] = field(default_factory=dict)
    _words: dict[str, Words] = field(default_factory=dict)

    def cards(self, edition: Edition, language: str) -> Callable[[int], Card]:
        """Return what makes a paper's card in an edition; it raises ``KeyError`` for one that is not there any more."""
        key = (edition.pk, language)
        if key not in self._cards:
            self._cards[key] = functools.cache(
                functools.partial(_card, self.papers, self.list_dates, self.votes, edition)
            )
        return self._cards[key]

    def span(self, covers_from: dt.date, edition: Edition, language: str) -> Span:
        key = (covers_from, edition.date, language)
        if key not in self._spans:
            covered = tuple(each for each in self.editions if covers_from <= each.date <= edition.date)
            self._spans[key] = Span(covered, coverage.lines(covered))
        return self._spans[key]

    def words(self, language: str) -> Words:
        if language not in self._words:
            self._words[language] = _said()
        return self._words[language]


def _card(papers: Papers, list_dates: ListDates, votes: Votes, edition: Edition, paper_id: int) -> Card:
    listed_on = list_dates.get(paper_id, edition.date)
    return _known(card(papers[paper_id], listed_on, *votes.get((edition.pk, paper_id), (None, 0))))


# The chunks of a morning hold equal cards; a card is found quickest by itself.
@functools.lru_cache(maxsize=2048)
def _known(card: Card) -> Card:
    return card


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
    return Material(papers, dict(listings), votes, list(editions), _version(), samples)


def _version() -> str:
    """Return what all mails of the site have in common: those of different versions are not the same."""
    shown = (settings.PUBLIC_URL, settings.SITE_NAME, settings.POSTAL_ADDRESS, settings.TRACK_OPENS)
    return slots.version(TEMPLATES, repr(shown))


def digest(delivery: Delivery, of: Material | None = None, language: str = "") -> Digest:
    """Return the digest of a delivery that has picks; ``language`` is the current one, which it takes time to ask for.

    Nothing but rows goes into it, no clock and no chance, so that it is the same however often it is made.
    """
    of = of or material([delivery])
    picks, edition, reader = delivery.picks, delivery.edition, delivery.subscriber
    language = language or get_language() or ""
    span = of.span(delivery.covers_from, edition, language)
    words = of.words(language)
    sections = _sections(picks, of.cards(edition, language), words)
    titles = [entry.card.title for section in sections for entry in section.entries]
    said = _coverage(delivery, picks, span.editions, language)
    return Digest(
        language=language,
        form=picks.form,
        subject=_subject(titles, span.editions, language),
        preheader=_preheader(said, titles[1:4], words),
        headline=_headline(*_lengths(sections), language),
        date=delivery.local_date,
        coverage=said,
        sections=sections,
        checked=tuple(filter(None, [_counts(picks, language), *span.checked, words.learnt])),
        why_you_get_this=_why(reader.frequency, reader.hour, reader.timezone, words.site, language),
        is_first=bool(picks.counts.get("is_first")),
        is_sample=not of.samples.isdisjoint(picks.paper_ids),
        token=delivery.token,
        unsubscribe_token=reader.unsubscribe_token,
    )


def _said() -> Words:
    return Words(
        site=settings.SITE_NAME,
        for_you=_("For you"),
        trending=_("Trending today"),
        nothing_matched=_("None of the new papers matches your interests. These are the most talked about."),
        also=_("Also: %(titles)s"),
        learnt=_what_is_learnt(),
    )


def _sections(picks: DeliveryPicks, card_of: Callable[[int], Card], words: Words) -> tuple[Section, ...]:
    entries: dict[str, list[Entry]] = {"for_you": [], "trending": []}
    numbers: dict[str, int] = {}  # as in ``picks.interests``
    for pick in picks.details:
        why = tuple([why_line(each, numbers.setdefault(each["interest"], len(numbers) + 1)) for each in pick["why"]])
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


def _subject(titles: Sequence[str], editions: Sequence[Edition], language: str) -> str:
    if not titles:
        return _("No new papers yet: %(source)s could not be read") % {"source": _failed(editions)}
    return _named(titles[0], len(titles) - 1, language)


@functools.lru_cache(maxsize=1024)
def _named(title: str, others: int, _language: str) -> str:
    first = short(title, SUBJECT_LENGTH)
    if not others:
        return first
    return ngettext("%(first)s, and %(n)d more", "%(first)s, and %(n)d more", others) % {"first": first, "n": others}


def _preheader(said: str, titles: Sequence[str], words: Words) -> str:
    """Return what an inbox shows after the subject, without repeating it: the next titles."""
    others = "; ".join(titles)
    text = f"{said} {words.also % {'titles': others}}" if others else said
    if len(text) < SHORTEST_PREHEADER:
        text += " " + _("With the reason why it was picked for you.")
    return shortened(text, LONGEST_PREHEADER)


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
