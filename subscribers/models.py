"""Readers, what they asked for, what they consented to, and the service mails they are owed."""

import datetime as dt
import functools
import hmac
import secrets
import zoneinfo

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy as _

from papers.models import Paper

MAX_FOLLOWS = 50  # interests and mutes of one reader together


def make_token() -> str:
    """Return 22 unguessable characters (128 bits) that are safe in a URL."""
    return secrets.token_urlsafe(16)


def hash_address(email: str) -> str:
    """Return the HMAC-SHA-256 of a normalised address, 64 hexadecimal digits.

    It lets us recognise an address that left without keeping it. The key is ADDRESS_HASH_KEY.
    """
    key = settings.ADDRESS_HASH_KEY.encode()
    return hmac.digest(key, normalise_address(email).encode(), "sha256").hex()


def normalise_address(email: str) -> str:
    """Return the address in the form that we compare: trimmed and lower case."""
    return email.strip().lower()


@functools.cache
def timezones() -> frozenset[str]:
    """Return the names of all time zones; finding them reads some six hundred files."""
    return frozenset(zoneinfo.available_timezones())


def zone_of(name: str) -> dt.tzinfo:
    """Return a zone by its name; UTC for one that left the database of zones, for it must stop nobody else."""
    return zoneinfo.ZoneInfo(name) if name in timezones() else dt.UTC


def validate_timezone(name: str) -> None:
    if name not in timezones():
        raise ValidationError(f"“{name}” is no time zone; write one such as Europe/Berlin or America/New_York.")


class SubscriberQuerySet(models.QuerySet["Subscriber"]):
    def by_address(self, email: str) -> "SubscriberQuerySet":
        return self.filter(email=normalise_address(email))

    def active(self) -> "SubscriberQuerySet":
        return self.filter(state=Subscriber.State.ACTIVE)


class Subscriber(models.Model):
    """A reader: an address, when they want their digest, and what it should hold."""

    class State(models.TextChoices):
        PENDING = "pending", "pending: not confirmed"
        ACTIVE = "active"
        PAUSED = "paused"
        UNSUBSCRIBED = "unsubscribed"

    class Frequency(models.TextChoices):
        DAILY = "daily", _("every day")
        WEEKDAYS = "weekdays", _("Monday to Friday")
        WEEKLY = "weekly", _("once a week")

    class Weekday(models.IntegerChoices):
        MONDAY = 0, _("Monday")
        TUESDAY = 1, _("Tuesday")
        WEDNESDAY = 2, _("Wednesday")
        THURSDAY = 3, _("Thursday")
        FRIDAY = 4, _("Friday")
        SATURDAY = 5, _("Saturday")
        SUNDAY = 6, _("Sunday")

    email = models.EmailField("address", max_length=254, unique=True)
    state = models.CharField(max_length=12, choices=State.choices, default=State.PENDING)
    created_at = models.DateTimeField(auto_now_add=True)
    confirmed_at = models.DateTimeField(null=True, blank=True)
    unsubscribed_at = models.DateTimeField(null=True, blank=True)
    paused_until = models.DateField(null=True, blank=True, help_text="The first day with a digest again.")

    language = models.CharField(max_length=8, choices=settings.LANGUAGES, default="en", help_text="Of the mails.")
    timezone = models.CharField(max_length=64, default="UTC", validators=[validate_timezone])
    frequency = models.CharField(max_length=8, choices=Frequency.choices, default=Frequency.DAILY)
    weekday = models.PositiveSmallIntegerField(
        choices=Weekday.choices, default=Weekday.MONDAY, help_text="The day of a weekly digest."
    )
    hour = models.PositiveSmallIntegerField(default=7, validators=[MaxValueValidator(23)], help_text="Local hour.")
    paper_count = models.PositiveSmallIntegerField(
        default=10, validators=[MinValueValidator(1), MaxValueValidator(25)], help_text="Papers in a digest, at most."
    )
    trending_weight = models.PositiveSmallIntegerField(
        default=30,
        validators=[MaxValueValidator(100)],
        help_text="0 orders matches by interests alone, 100 by trending alone.",
    )
    wants_trending = models.BooleanField("trending section", default=True)
    wants_trending_if_no_match = models.BooleanField(
        "trending papers when nothing matches", default=True, help_text="Otherwise no digest on such a day."
    )
    wants_late_notice = models.BooleanField(
        "a short mail when a source failed", default=True, help_text="Otherwise a silent day."
    )

    # Never expires and can do one thing only.
    unsubscribe_token = models.CharField(max_length=22, unique=True, default=make_token, editable=False)
    # Read only: the personal feed and archive.
    feed_token = models.CharField(max_length=22, unique=True, default=make_token, editable=False)

    objects = SubscriberQuerySet.as_manager()

    class Meta:
        ordering = ["email"]
        constraints = [
            models.CheckConstraint(condition=models.Q(email=Lower("email")), name="subscriber_email_is_lower_case"),
            models.CheckConstraint(
                condition=models.Q(state__in=["pending", "unsubscribed"]) | models.Q(confirmed_at__isnull=False),
                name="subscriber_reads_only_when_confirmed",
            ),
            models.CheckConstraint(
                condition=~models.Q(state="unsubscribed") | models.Q(unsubscribed_at__isnull=False),
                name="subscriber_unsubscribed_has_a_time",
            ),
            models.CheckConstraint(condition=models.Q(hour__lte=23), name="subscriber_hour_is_an_hour"),
            models.CheckConstraint(condition=models.Q(weekday__lte=6), name="subscriber_weekday_is_a_day"),
            models.CheckConstraint(
                condition=models.Q(paper_count__gte=1, paper_count__lte=25), name="subscriber_paper_count_is_1_to_25"
            ),
            models.CheckConstraint(
                condition=models.Q(trending_weight__lte=100), name="subscriber_trending_weight_is_a_percentage"
            ),
        ]
        indexes = [
            # The planner walks the active readers in pages of ids.
            models.Index(fields=["state", "id"], name="subscriber_state_id"),
            # Each minute the planner looks for those whose hour has come, and for those who just confirmed.
            models.Index(
                fields=["timezone", "hour", "id"], condition=models.Q(state="active"), name="subscriber_zone_hour"
            ),
            models.Index(fields=["confirmed_at"], condition=models.Q(state="active"), name="subscriber_confirmed"),
        ]
        permissions = [("export_subscriber", "Can export subscribers with their addresses")]

    def __str__(self) -> str:
        return self.email

    @property
    def zone(self) -> dt.tzinfo:
        return zone_of(self.timezone)

    @property
    def masked_email(self) -> str:
        """The address as a page shows it that a forwarded mail may have opened: ``a…@example.org``."""
        name, _, domain = self.email.partition("@")
        return f"{name[:1]}…@{domain}"


class Interest(models.Model):
    """A distinct query, shared by all who follow it; deleted with its last follower."""

    canonical = models.CharField(max_length=600)
    version = models.PositiveSmallIntegerField(help_text="Of the canonical form.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["canonical"]
        constraints = [
            models.UniqueConstraint(fields=["canonical", "version"], name="interest_once_per_query"),
        ]

    def __str__(self) -> str:
        return self.canonical


class InterestVector(models.Model):
    """Where the topics of an interest lie in an encoder's space of meanings."""

    interest = models.ForeignKey(Interest, on_delete=models.CASCADE, related_name="vectors")
    encoder = models.CharField(max_length=80, help_text="Its name, which says its version too.")
    vectors = models.BinaryField(help_text="float16, of length 1 each: one for each alternative with a topic.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["interest", "encoder"], name="interest_vector_once_per_encoder"),
        ]

    def __str__(self) -> str:
        return f"{self.encoder} {self.interest_id}"


class Follow(models.Model):
    """The tie between a reader and an interest, with the reader's own wording."""

    subscriber = models.ForeignKey(Subscriber, on_delete=models.CASCADE, related_name="follows")
    interest = models.ForeignKey(Interest, on_delete=models.PROTECT, related_name="follows")
    wording = models.CharField(max_length=200)
    weight = models.FloatField(default=1.0)
    is_starred = models.BooleanField(default=False, help_text="Its matches come first.")
    is_muted = models.BooleanField(default=False, help_text="Hides what it matches.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["subscriber", "interest"], name="follow_once_per_interest"),
            models.CheckConstraint(condition=models.Q(weight__gt=0), name="follow_weight_is_positive"),
            models.CheckConstraint(condition=~models.Q(is_starred=True, is_muted=True), name="follow_star_or_mute"),
        ]

    def __str__(self) -> str:
        return self.wording


class Vote(models.Model):
    """A thumb up or down of one reader for one paper; it moves that reader's later rankings and nobody else's."""

    subscriber = models.ForeignKey(Subscriber, on_delete=models.CASCADE, related_name="votes")
    paper = models.ForeignKey(Paper, on_delete=models.CASCADE, related_name="reader_votes")
    is_up = models.BooleanField(help_text="More like this; else less, and the paper itself never again.")
    # Of a thumb down: the interest that is to find fewer such papers. None is the paper as a whole.
    interest = models.ForeignKey(Interest, on_delete=models.SET_NULL, null=True, blank=True, related_name="votes")
    at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["-at"]
        constraints = [
            models.UniqueConstraint(fields=["subscriber", "paper"], name="vote_once_per_paper"),
        ]

    def __str__(self) -> str:
        return f"{'up' if self.is_up else 'down'} {self.paper_id}"


class Consent(models.Model):
    """What a reader agreed to, when, from where, in which words. Append-only while the reader exists."""

    class Kind(models.TextChoices):
        SIGNED_UP = "signed_up", "signed up"
        CONFIRMED = "confirmed"
        IMPORTED = "imported"
        UNSUBSCRIBED = "unsubscribed"
        RESTORED = "restored", "unsubscribed undone"
        MOVED = "moved", "changed the address"

    subscriber = models.ForeignKey(Subscriber, on_delete=models.CASCADE, related_name="consents")
    kind = models.CharField(max_length=12, choices=Kind.choices)
    at = models.DateTimeField(auto_now_add=True)
    network = models.CharField(max_length=43, blank=True, help_text="Where from, cut to /24 or /48.")
    wording = models.TextField(blank=True, help_text="The words that stood beside the button.")

    class Meta:
        ordering = ["at", "id"]

    def __str__(self) -> str:
        return f"{self.kind} {self.at:%Y-%m-%d %H:%M}"


class Suppression(models.Model):
    """An address that is not mailed, as HMAC, and why."""

    class Reason(models.TextChoices):
        BOUNCE = "bounce", "hard bounce"
        COMPLAINT = "complaint"
        OPERATOR = "operator", "blocked by the operator"
        UNSUBSCRIBED = "unsubscribed"
        ERASED = "erased"

    # Nothing at all is sent, not even a confirmation, until the operator lifts it; the other
    # reasons end with the reader's own confirmed sign-up.
    BLOCKING = [Reason.BOUNCE, Reason.COMPLAINT, Reason.OPERATOR]

    address_hash = models.CharField(max_length=64)
    reason = models.CharField(max_length=12, choices=Reason.choices)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            # Also the look-up by address.
            models.UniqueConstraint(fields=["address_hash", "reason"], name="suppression_once_per_reason"),
        ]

    def __str__(self) -> str:
        return f"{self.reason} {self.address_hash[:8]}"


class Token(models.Model):
    """A single-use link, kept as SHA-256; burnt by the POST, never by the GET."""

    class Purpose(models.TextChoices):
        CONFIRM = "confirm"
        CHANGE_ADDRESS = "change_address", "change of address"
        CHANGE_BACK = "change_back", "back to the old address"
        EXPORT = "export"
        ERASE = "erase"
        UNDO = "undo", "undo unsubscribing"

    subscriber = models.ForeignKey(Subscriber, on_delete=models.CASCADE, related_name="tokens")
    purpose = models.CharField(max_length=16, choices=Purpose.choices)
    digest = models.CharField(max_length=64, unique=True, help_text="SHA-256 of the token.")
    address = models.EmailField(max_length=254, blank=True, help_text="Of a change: where the digests are to go.")
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-expires_at"]

    def __str__(self) -> str:
        return f"{self.purpose} until {self.expires_at:%Y-%m-%d %H:%M}"


class Mail(models.Model):
    """A service mail: the row is the outbox, written in the transaction that causes the mail."""

    class Kind(models.TextChoices):
        CONFIRMATION = "confirmation"
        ALREADY_SUBSCRIBED = "already", "already subscribed"
        WELCOME = "welcome"
        LINK = "link", "a fresh link to the preferences"
        CHANGE = "change", "change of address: asks the new one"
        MOVED = "moved", "address changed: tells the old one"
        GOODBYE = "goodbye"

    class State(models.TextChoices):
        PENDING = "pending"
        SENDING = "sending"
        ACCEPTED = "accepted"
        BOUNCED = "bounced"
        SKIPPED = "skipped", "skipped: suppressed"
        FAILED = "failed"
        UNKNOWN = "unknown", "unknown: may have gone"

    subscriber = models.ForeignKey(Subscriber, on_delete=models.CASCADE, related_name="mails")
    kind = models.CharField(max_length=12, choices=Kind.choices)
    state = models.CharField(max_length=8, choices=State.choices, default=State.PENDING)
    address = models.EmailField(max_length=254, blank=True, help_text="Where it goes, if not to the reader's own.")
    # In the mail's link to the preferences; 30 days.
    token = models.CharField(max_length=22, unique=True, default=make_token, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    next_attempt_at = models.DateTimeField()
    attempt = models.PositiveSmallIntegerField(default=0)
    leased_until = models.DateTimeField(null=True, blank=True)
    message_id = models.CharField(max_length=200, blank=True)
    provider_message_id = models.CharField(max_length=200, blank=True)
    accepted_at = models.DateTimeField(null=True, blank=True)
    error = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(
                condition=~models.Q(state="accepted") | models.Q(accepted_at__isnull=False),
                name="mail_accepted_has_a_time",
            ),
        ]
        indexes = [
            # What is to be sent now.
            models.Index(fields=["state", "next_attempt_at"], name="mail_state_next_attempt"),
            # The webhook looks a mail up by our id, then by the provider's.
            models.Index(fields=["message_id"], name="mail_message_id"),
            models.Index(fields=["provider_message_id"], name="mail_provider_message_id"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.created_at:%Y-%m-%d %H:%M}"


class Attempt(models.Model):
    """How often the gate was asked, per scope and hour: the counters behind its limits."""

    class Scope(models.TextChoices):
        ADDRESS = "address"
        NETWORK = "network"
        DOMAIN = "domain", "mailbox domain"
        TOTAL = "total"

    scope = models.CharField(max_length=8, choices=Scope.choices)
    key = models.CharField(max_length=64, help_text="HMAC of what is counted.")
    hour = models.DateTimeField(help_text="The hour's beginning.")
    count = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ["-hour"]
        constraints = [
            models.UniqueConstraint(fields=["scope", "key", "hour"], name="attempt_once_per_hour"),
        ]

    def __str__(self) -> str:
        return f"{self.scope} {self.hour:%Y-%m-%d %H}h {self.count}"
