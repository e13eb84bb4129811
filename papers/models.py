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


class Source(models.TextChoices):
    """The names under which ``papers.sources.SOURCES`` knows its modules."""

    HUGGINGFACE = "huggingface", "Hugging Face"
    ARXIV = "arxiv", "arXiv"


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


class IngestRun(models.Model):
    """One attempt to fetch and store one source's list of one date."""

    class Status(models.TextChoices):
        RUNNING = "running"
        OK = "ok"
        EMPTY = "empty", "empty list"
        FAILED = "failed"

    source = models.CharField(max_length=20)
    list_date = models.DateField()
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.RUNNING)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)
    fetched = models.PositiveIntegerField(default=0, help_text="Items that the source sent.")
    new = models.PositiveIntegerField(default=0, help_text="Papers not seen before.")
    updated = models.PositiveIntegerField(default=0, help_text="Papers of which something changed.")
    listed = models.PositiveIntegerField(default=0, help_text="Listings not seen before.")
    rejected = models.PositiveIntegerField(default=0)
    rejects = models.JSONField(default=list, blank=True, help_text="[{id, reason}] of each refused record.")
    error = models.TextField(blank=True)

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


class SourceState(models.Model):
    """What a source told us to remember between requests."""

    source = models.CharField(max_length=20, unique=True)
    next_request_at = models.DateTimeField(
        null=True, blank=True, help_text="No request before this moment: the source asked us to wait."
    )
    validators = models.JSONField(default=dict, blank=True, help_text="{url: {etag, last_modified}}")

    def __str__(self) -> str:
        return self.source
