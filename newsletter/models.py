"""Editions, and what became of each reader's digest of them."""

from django.db import models

from papers.models import Paper
from subscribers.models import Mail, Subscriber, make_token


class Edition(models.Model):
    """One day's closed set of papers, named by the UTC date on which it closes."""

    class State(models.TextChoices):
        OPEN = "open"
        CLOSED = "closed"
        SENDING = "sending"
        PAUSED = "paused"
        DONE = "done"
        CANCELLED = "cancelled"

    date = models.DateField(unique=True)
    state = models.CharField(max_length=10, choices=State.choices, default=State.OPEN)
    # Who is due depends on the scheduled moment, so that a late closing moves nobody's hour.
    scheduled_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)
    new_count = models.PositiveIntegerField(default=0, help_text="Papers that are new in this edition.")
    planned_until = models.DateTimeField(null=True, blank=True, help_text="Who was due by then has a row.")
    coverage = models.JSONField(
        default=list,
        blank=True,
        help_text="[{source, list_dates, status, new, fetched_at}]: what was checked, for the digest's footer.",
    )

    class Meta:
        ordering = ["-date"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(state__in=["open", "cancelled"]) | models.Q(closed_at__isnull=False),
                name="edition_closed_has_a_time",
            ),
        ]
        permissions = [("send_edition", "Can send, pause and cancel an edition")]

    def __str__(self) -> str:
        return f"{self.date}"


class EditionPaper(models.Model):
    """A paper's role and score in an edition; written when the edition closes, never changed."""

    class Role(models.TextChoices):
        NEW = "new"
        EARLIER = "earlier", "earlier: new in one of the seven editions before"
        OLDER = "older", "older: taken in because it takes off"

    edition = models.ForeignKey(Edition, on_delete=models.CASCADE, related_name="papers")
    paper = models.ForeignKey(Paper, on_delete=models.PROTECT, related_name="edition_papers")
    role = models.CharField(max_length=8, choices=Role.choices)
    new_by = models.JSONField(default=list, help_text="The sources by which it is new here.")
    new_on = models.DateField(help_text="The newest edition in which it was new: this one, or an earlier.")
    takes_off = models.BooleanField(default=False)
    score = models.FloatField(help_text="Trending score at the closing.")
    parts = models.JSONField(default=dict, help_text="{part: value}; they add up to the score.")
    upvotes = models.PositiveIntegerField(null=True, help_text="At the closing.")
    gained = models.PositiveIntegerField(default=0, help_text="Upvotes gained in the 24 hours before it.")
    rank = models.PositiveIntegerField(help_text="1 is the most trending.")

    class Meta:
        ordering = ["edition", "rank"]
        constraints = [
            models.UniqueConstraint(fields=["edition", "paper"], name="edition_paper_once"),
            models.CheckConstraint(condition=models.Q(score__gte=0), name="edition_paper_score_is_not_negative"),
        ]
        indexes = [
            # In which earlier editions a paper was new.
            models.Index(fields=["paper", "role"], name="edition_paper_paper_role"),
        ]

    def __str__(self) -> str:
        return f"{self.edition_id} {self.paper_id} {self.role}"


class Chunk(models.Model):
    """What one task works on: some deliveries of an edition. The lease on them is this one row."""

    edition = models.ForeignKey(Edition, on_delete=models.CASCADE, related_name="chunks")
    number = models.PositiveIntegerField()
    owner = models.CharField(max_length=64, blank=True)
    leased_until = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveIntegerField(default=0)  # of workers that have not handed it back

    class Meta:
        ordering = ["edition", "number"]
        constraints = [
            models.UniqueConstraint(fields=["edition", "number"], name="chunk_once_per_number"),
            models.CheckConstraint(
                condition=models.Q(owner="", leased_until__isnull=True)
                | (~models.Q(owner="") & models.Q(leased_until__isnull=False)),
                name="chunk_lease_has_an_owner",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.edition_id}/{self.number}"


class Delivery(models.Model):
    """One reader's digest of one edition, and what became of it.

    The row is written before anything is sent, so the unique constraint is what keeps a reader
    from getting an edition twice, however often a task runs.
    """

    class State(models.TextChoices):
        PENDING = "pending"
        RETRY = "retry", "to be tried again"
        SENDING = "sending"
        ACCEPTED = "accepted"
        DELIVERED = "delivered"
        BOUNCED = "bounced"
        COMPLAINED = "complained"
        SKIPPED = "skipped"
        FAILED = "failed"
        UNKNOWN = "unknown", "unknown: may have gone"

    class Reason(models.TextChoices):
        """Why a delivery was skipped."""

        NOTHING_NEW = "nothing_new", "nothing new"
        NO_MATCH = "no_match", "nothing matched"
        PAUSED = "paused"
        UNSUBSCRIBED = "unsubscribed"
        SUPPRESSED = "suppressed"
        TOO_LATE = "too_late", "too late: a newer edition closed"
        WARM_UP = "warm_up", "warm-up"
        CANCELLED = "cancelled", "edition cancelled"

    # Not yet handed over: these may still be sent, skipped or found too late.
    OPEN = [State.PENDING, State.RETRY]
    # The reader has it, or may have it.
    SENT = [State.ACCEPTED, State.DELIVERED, State.BOUNCED, State.COMPLAINED, State.UNKNOWN]
    # A skip that counts as the reader's last digest: they were told all there was to tell.
    COUNTING_SKIPS = [Reason.NOTHING_NEW, Reason.NO_MATCH]

    # The constraint and the indexes that begin with the edition or the chunk do for these, and each index is
    # written three times for a mail.
    edition = models.ForeignKey(Edition, on_delete=models.CASCADE, related_name="deliveries", db_index=False)
    subscriber = models.ForeignKey(Subscriber, on_delete=models.CASCADE, related_name="deliveries")
    covers_from = models.DateField(help_text="The oldest edition that this digest covers; the newest is its own.")
    local_date = models.DateField(help_text="The reader's date when it was made: at most one digest on each.")
    state = models.CharField(max_length=10, choices=State.choices, default=State.PENDING)
    reason = models.CharField(max_length=12, choices=Reason.choices, blank=True)
    chunk = models.ForeignKey(
        Chunk, on_delete=models.SET_NULL, null=True, blank=True, related_name="deliveries", db_index=False
    )
    unit = models.CharField(max_length=32, blank=True, help_text="What was handed over in one call.")
    attempt = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    may_have_gone = models.BooleanField(default=False, help_text="It was unknown, and is sent again.")
    # In the links of the mail; 30 days for all but reading.
    token = models.CharField(max_length=22, unique=True, default=make_token, editable=False)
    message_id = models.CharField(max_length=200, blank=True)
    provider_message_id = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    sending_at = models.DateTimeField(null=True, blank=True)
    accepted_at = models.DateTimeField(null=True, blank=True)
    error = models.CharField(max_length=500, blank=True)

    class Meta:
        verbose_name_plural = "deliveries"
        ordering = ["-edition__date", "subscriber_id"]
        constraints = [
            models.UniqueConstraint(fields=["edition", "subscriber"], name="delivery_once_per_edition"),
            models.CheckConstraint(
                condition=~models.Q(state="accepted") | models.Q(accepted_at__isnull=False),
                name="delivery_accepted_has_a_time",
            ),
            models.CheckConstraint(
                condition=models.Q(state="skipped") & ~models.Q(reason="")
                | ~models.Q(state="skipped") & models.Q(reason=""),
                name="delivery_skipped_has_a_reason",
            ),
            models.CheckConstraint(
                condition=~models.Q(state="failed") | ~models.Q(error=""), name="delivery_failed_has_an_error"
            ),
        ]
        indexes = [
            # A chunk's rows that are still to be sent.
            models.Index(fields=["chunk", "state"], name="delivery_chunk_state"),
            # An edition's counts by state, and who did not get it.
            models.Index(fields=["edition", "state"], name="delivery_edition_state"),
            # What is still to be sent, of all editions: the sweeper asks every minute.
            models.Index(
                fields=["state"],
                condition=models.Q(state__in=["pending", "retry", "sending"]),
                name="delivery_not_final",
            ),
            # Who was overtaken: asked reader by reader, and hardly anybody was.
            models.Index(fields=["subscriber"], condition=models.Q(reason="too_late"), name="delivery_too_late"),
            # The webhook looks a delivery up by our id, then by the provider's.
            models.Index(fields=["message_id"], name="delivery_message_id"),
            models.Index(fields=["provider_message_id"], name="delivery_provider_message_id"),
        ]

    def __str__(self) -> str:
        return f"{self.edition_id} to {self.subscriber_id}: {self.state}"


class UnitKey(models.Model):
    """A call under a key, until its answer is known: what must be the same for the call to be made again."""

    name = models.CharField(max_length=32, unique=True, help_text="Of the unit, on its deliveries; the key itself.")
    chunk = models.ForeignKey(Chunk, on_delete=models.CASCADE, related_name="unit_keys")
    provider = models.CharField(max_length=30)
    size = models.PositiveSmallIntegerField(help_text="Mails in the call.")
    fingerprint = models.CharField(max_length=64, help_text="SHA-256 of the mails as they stood in it, in order.")
    good_until = models.DateTimeField(help_text="Half of the time that the provider knows the key.")
    repeat_at = models.DateTimeField(null=True, blank=True, help_text="Not before.")

    def __str__(self) -> str:
        return f"{self.provider} {self.name}"


class DeliveryPicks(models.Model):
    """The papers of one digest, frozen before its first attempt.

    A row of its own, so that the changes of a delivery's state do not write it again.
    """

    class Form(models.TextChoices):
        DIGEST = "digest"
        SOURCE_LATE = "source_late", "short mail: a source failed"

    delivery = models.OneToOneField(Delivery, on_delete=models.CASCADE, primary_key=True, related_name="picks")
    form = models.CharField(max_length=12, choices=Form.choices, default=Form.DIGEST)
    paper_ids = models.JSONField(default=list, help_text="In the order of the mail; kept as long as the reader.")
    # [{paper, section: for_you|trending, score, why: [{interest, field, text, marks}], then: {upvotes, days}}];
    # the interest in the reader's own wording, `then` of a second chance alone.
    details = models.JSONField(default=list, help_text="Section, score and evidence of each pick.")
    counts = models.JSONField(
        default=dict, help_text="{considered, matched, muted, sent_before, is_first}: what the mail says of it."
    )

    class Meta:
        verbose_name_plural = "delivery picks"

    def __str__(self) -> str:
        return f"{self.delivery_id}: {len(self.paper_ids)}"

    @property
    def interests(self) -> list[str]:
        """The interests that the digest names, each once in the order of the mail: its links count from 1."""
        return list(dict.fromkeys([why["interest"] for pick in self.details for why in pick["why"]]))


class DeliveryEvent(models.Model):
    """What the provider reported about a mail, in Anymail's words; kept even when it fits none of ours."""

    key = models.CharField(max_length=64, unique=True, help_text="SHA-256 of what makes the event one event.")
    delivery = models.ForeignKey(Delivery, on_delete=models.SET_NULL, null=True, blank=True, related_name="events")
    mail = models.ForeignKey(Mail, on_delete=models.SET_NULL, null=True, blank=True, related_name="events")
    provider = models.CharField(max_length=30)
    kind = models.CharField(max_length=30)
    reason = models.CharField(max_length=30, blank=True, help_text="Anymail's reject_reason.")
    is_permanent = models.BooleanField(default=False, help_text="A hard bounce, not one that may pass.")
    recipient_hash = models.CharField(max_length=64, blank=True, help_text="HMAC of the address.")
    provider_message_id = models.CharField(max_length=200, blank=True)
    detail = models.CharField(max_length=500, blank=True)
    occurred_at = models.DateTimeField()
    received_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-occurred_at"]
        indexes = [
            # How often an address bounced of late.
            models.Index(fields=["recipient_hash"], condition=models.Q(kind="bounced"), name="event_bounced"),
            # What may have come before our own commit of the id that it names: asked every minute.
            models.Index(
                fields=["received_at"],
                condition=models.Q(delivery__isnull=True, mail__isnull=True),
                name="event_orphaned",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.occurred_at:%Y-%m-%d %H:%M}"


class Heartbeat(models.Model):
    """When a worker last took a task from a queue, or cron last ran ``tick``."""

    name = models.CharField(max_length=20, unique=True, help_text="A queue, or tick.")
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.name} {self.at:%Y-%m-%d %H:%M}"


class Alert(models.Model):
    """Something that needs the operator, from when it began to when it was over; each is said once."""

    subject = models.CharField(max_length=60, help_text="What is not well, such as: source arxiv.")
    text = models.CharField(max_length=500)
    began_at = models.DateTimeField()
    said_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    end_said_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-began_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["subject"], condition=models.Q(ended_at__isnull=True), name="alert_once_while_it_lasts"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.subject} {self.began_at:%Y-%m-%d %H:%M}"


class ProviderState(models.Model):
    """What all our processes know of a mail provider: whether it takes mails now, and how many it was given."""

    class State(models.TextChoices):
        CLOSED = "closed", "mails go"
        OPEN = "open", "paused"
        PROBING = "probing", "one mail tries"

    name = models.CharField(max_length=30, unique=True)
    state = models.CharField(max_length=8, choices=State.choices, default=State.CLOSED)
    failures = models.PositiveSmallIntegerField(default=0, help_text="Calls in a row that came to nothing.")
    error = models.CharField(max_length=500, blank=True, help_text="What the last of them said.")
    opened_at = models.DateTimeField(null=True, blank=True, help_text="Paused since.")
    retry_at = models.DateTimeField(null=True, blank=True, help_text="Nothing is handed over before.")
    # The permits of an instance without Redis, or whose Redis is away.
    free_at = models.DateTimeField(null=True, blank=True, help_text="When the next mail may go, by the rate.")
    day = models.DateField(null=True, blank=True, help_text="In UTC; the day that is counted.")
    day_count = models.PositiveIntegerField(default=0, help_text="Mails handed over on that day.")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(state="closed", opened_at__isnull=True)
                | ~models.Q(state="closed") & models.Q(opened_at__isnull=False, retry_at__isnull=False),
                name="provider_state_paused_has_times",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name}: {self.state}"


class Proof(models.Model):
    """An operator's wish to see an edition in their own mailbox; tried once."""

    edition = models.ForeignKey(Edition, on_delete=models.CASCADE, related_name="proofs")
    email = models.EmailField(max_length=254)
    created_at = models.DateTimeField(auto_now_add=True)
    tried_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["-created_at"]
        indexes = [
            # What is wanted now: asked every minute.
            models.Index(fields=["id"], condition=models.Q(tried_at__isnull=True), name="proof_wanted"),
        ]

    def __str__(self) -> str:
        return f"{self.edition_id} to {self.email}"
