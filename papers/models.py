"""Papers, the lists they stood on, their counters in time, and every attempt to fetch them."""

import datetime as dt
from urllib.parse import quote

from django.db import models
from django.urls import reverse


class PaperQuerySet(models.QuerySet["Paper"]):
    def visible(self) -> "PaperQuerySet":
        """Papers that may be shown and picked: not hidden by the operator, not withdrawn."""
        return self.filter(is_hidden=False, is_withdrawn=False)

    def listed_on(self, date: dt.date) -> "PaperQuerySet":
        """Papers that any source had on its list of ``date``, most upvoted first."""
        return (
            self.filter(listings__list_date=date)
            .distinct()
            .order_by(models.F("upvotes").desc(nulls_last=True), "arxiv_id")
        )


class Paper(models.Model):
    """One work, keyed by its arXiv id without version, however many sources list it."""

    arxiv_id = models.CharField("arXiv id", max_length=32, unique=True)
    title = models.TextField()
    abstract = models.TextField(blank=True)
    authors = models.JSONField(default=list, blank=True, help_text="Names, in order.")
    organisation = models.CharField(max_length=200, blank=True)
    categories = models.JSONField(default=list, blank=True, help_text="arXiv categories, the primary one first.")
    submitted_on = models.DateField(null=True, blank=True)
    updated_on = models.DateField(null=True, blank=True)
    version = models.PositiveSmallIntegerField(null=True, blank=True)
    comment = models.TextField(blank=True)
    tldr = models.TextField("TLDR", blank=True)
    keywords = models.JSONField(default=list, blank=True)
    code_url = models.URLField(max_length=500, blank=True)
    project_url = models.URLField(max_length=500, blank=True)
    thumbnail_url = models.URLField(max_length=500, blank=True)
    is_withdrawn = models.BooleanField(default=False)
    is_hidden = models.BooleanField(default=False, help_text="Left out of pages and of digests made from now on.")
    is_sample = models.BooleanField(default=False, help_text="Made up, shipped with Paperboy.")
    told_by = models.JSONField(default=dict, blank=True, help_text="{field: the source, or the operator, that said so}")

    # The newest snapshot, so that a list of papers needs no second query.
    upvotes = models.PositiveIntegerField(null=True, blank=True)
    comment_count = models.PositiveIntegerField(null=True, blank=True)
    github_stars = models.PositiveIntegerField(null=True, blank=True)
    counted_at = models.DateTimeField(null=True, blank=True)

    created_at = models.DateTimeField(auto_now_add=True)
    changed_at = models.DateTimeField(auto_now=True)

    objects = PaperQuerySet.as_manager()

    class Meta:
        ordering = ["-arxiv_id"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(counted_at__isnull=False) | models.Q(upvotes__isnull=True),
                name="paper_counters_have_a_time",
            ),
        ]
        indexes = [
            # The few papers that a search has to leave out.
            models.Index(
                fields=["id"],
                condition=models.Q(is_hidden=True) | models.Q(is_withdrawn=True),
                name="paper_not_shown",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.arxiv_id} {self.title}"

    def get_absolute_url(self) -> str:
        return reverse("papers:paper", args=[self.arxiv_id])

    @property
    def abstract_url(self) -> str:
        """The arXiv abstract page; '' for a made-up paper, whose only page is ours."""
        return "" if self.is_sample else f"https://arxiv.org/abs/{quote(self.arxiv_id)}"

    @property
    def pdf_url(self) -> str:
        return "" if self.is_sample else f"https://arxiv.org/pdf/{quote(self.arxiv_id)}"


class PaperTerms(models.Model):
    """A paper's words as the archive is searched by them; the database's full-text index hangs on this table."""

    paper = models.OneToOneField(Paper, on_delete=models.CASCADE, primary_key=True, related_name="terms")
    words = models.TextField(help_text="Folded, those of a field marked: papers/fulltext.py.")
    version = models.PositiveSmallIntegerField(help_text="By which version of the code they were folded.")

    class Meta:
        verbose_name_plural = "paper terms"

    def __str__(self) -> str:
        return f"words of {self.paper_id}"


class PaperVector(models.Model):
    """Where a paper lies in an encoder's space of meanings."""

    paper = models.ForeignKey(Paper, on_delete=models.CASCADE, related_name="vectors")
    encoder = models.CharField(max_length=80, help_text="Its name, which says its version too.")
    vector = models.BinaryField(help_text="float16, of length 1.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["paper", "encoder"], name="paper_vector_once_per_encoder"),
        ]

    def __str__(self) -> str:
        return f"{self.encoder} {self.paper_id}"


class Listing(models.Model):
    """A source had the paper on its list of a date."""

    paper = models.ForeignKey(Paper, on_delete=models.CASCADE, related_name="listings")
    source = models.CharField(max_length=20)
    list_date = models.DateField()
    stored_at = models.DateTimeField(help_text="An edition takes what was stored before it closed.")

    class Meta:
        ordering = ["-list_date"]
        constraints = [
            models.UniqueConstraint(fields=["paper", "source", "list_date"], name="listing_once_per_list"),
        ]
        indexes = [
            # The day's page, and the closing of an edition.
            models.Index(fields=["list_date", "source"], name="listing_date_source"),
        ]

    def __str__(self) -> str:
        return f"{self.source} {self.list_date} {self.paper_id}"


class Snapshot(models.Model):
    """A paper's counters as one source gave them at one moment."""

    paper = models.ForeignKey(Paper, on_delete=models.CASCADE, related_name="snapshots")
    source = models.CharField(max_length=20)
    taken_at = models.DateTimeField()
    upvotes = models.PositiveIntegerField()
    comment_count = models.PositiveIntegerField(null=True)
    github_stars = models.PositiveIntegerField(null=True)

    class Meta:
        ordering = ["taken_at"]
        constraints = [
            # Also serves a paper's history, in order of time.
            models.UniqueConstraint(fields=["paper", "source", "taken_at"], name="snapshot_once_per_moment"),
        ]

    def __str__(self) -> str:
        return f"{self.paper_id} {self.taken_at:%Y-%m-%d %H:%M} {self.upvotes}"


class IngestRunQuerySet(models.QuerySet["IngestRun"]):
    def of_lists(self) -> "IngestRunQuerySet":
        """Attempts at a list; only they say anything about a list's date."""
        return self.filter(kind=IngestRun.Kind.LIST)

    def read(self) -> "IngestRunQuerySet":
        """Attempts that found out what the source had, even if that was nothing."""
        return self.filter(status__in=[IngestRun.Status.OK, IngestRun.Status.EMPTY])


class IngestRun(models.Model):
    """One attempt to fetch and store what a source has: a list of one date, or news of papers that are known."""

    class Kind(models.TextChoices):
        LIST = "list", "a list"
        REVISIONS = "revisions", "revisions and withdrawals"
        DETAILS = "details", "details of papers from other sources"

    class Status(models.TextChoices):
        RUNNING = "running"
        OK = "ok"
        EMPTY = "empty", "empty list"
        FAILED = "failed"

    source = models.CharField(max_length=20)
    kind = models.CharField(max_length=10, choices=Kind.choices, default=Kind.LIST)
    list_date = models.DateField(help_text="The list's, or the day of the attempt where there is no list.")
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.RUNNING)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)
    fetched = models.PositiveIntegerField(default=0, help_text="Items that the source sent.")
    new = models.PositiveIntegerField(default=0, help_text="Papers not seen before.")
    updated = models.PositiveIntegerField(default=0, help_text="Papers of which something changed.")
    listed = models.PositiveIntegerField(default=0, help_text="Listings not seen before.")
    rejected = models.PositiveIntegerField(default=0)
    rejects = models.JSONField(default=list, blank=True, help_text="[{id, reason}] of each refused record.")
    note = models.CharField(max_length=200, blank=True, help_text="Why a list is empty, or what was odd about it.")
    error = models.TextField(blank=True)

    objects = IngestRunQuerySet.as_manager()

    class Meta:
        ordering = ["-started_at"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(status="running") | models.Q(finished_at__isnull=False),
                name="ingest_run_ended_has_a_time",
            ),
        ]
        indexes = [
            # Which dates of a source are due, and how fresh a source is.
            models.Index(fields=["source", "list_date", "started_at"], name="ingest_run_source_date"),
        ]

    def __str__(self) -> str:
        return f"{self.source} {self.list_date} {self.status}"

    @property
    def duration(self) -> dt.timedelta | None:
        """How long the attempt took; None while it lasts."""
        return self.finished_at - self.started_at if self.finished_at else None


class SourceState(models.Model):
    """Until when a source is left alone, and which of our processes may talk to it."""

    source = models.CharField(max_length=20, unique=True)
    next_request_at = models.DateTimeField(
        null=True, blank=True, help_text="No request before this moment: the source asked us to wait."
    )
    turn_holder = models.CharField(max_length=40, blank=True, help_text="Who sends a request now, without Redis.")
    turn_ends_at = models.DateTimeField(null=True, blank=True, help_text="When a holder that died has lost its turn.")
    next_turn_at = models.DateTimeField(null=True, blank=True, help_text="No turn before this moment.")

    def __str__(self) -> str:
        return self.source


class Answer(models.Model):
    """What a source last sent from an address, for when it says that nothing has changed since."""

    source = models.CharField(max_length=20)
    url = models.CharField(max_length=1000)
    etag = models.CharField(max_length=200, blank=True)
    last_modified = models.CharField(max_length=200, blank=True)
    body = models.BinaryField(help_text="Compressed by zlib.")
    kept_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["source", "url"], name="answer_once_per_address"),
        ]

    def __str__(self) -> str:
        return self.url
