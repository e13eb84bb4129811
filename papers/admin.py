"""The operator's desk for papers: look anything up, hide a paper, fix a field."""

import datetime as dt
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.models import CHANGE, LogEntry
from django.db import models
from django.db.models import Max, OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from django.utils import timezone
from django.utils.text import Truncator
from django.utils.translation import gettext_lazy as _

from papers import archive, vectors
from papers.merging import OPERATOR, WINNERS
from papers.models import IngestRun, Listing, Paper, Snapshot, SourceState
from papers.read_only import ReadOnly


class ListingInline(ReadOnly, admin.TabularInline[Listing, Paper]):
    model = Listing
    fields = ["source", "list_date", "stored_at"]
    ordering = ["-list_date"]


class SnapshotInline(ReadOnly, admin.TabularInline[Snapshot, Paper]):
    model = Snapshot
    fields = ["taken_at", "source", "upvotes", "comment_count", "github_stars"]
    ordering = ["-taken_at"]


@admin.register(Paper)
class PaperAdmin(admin.ModelAdmin[Paper]):
    """Papers come from their sources, so none is added or deleted here; hiding one keeps what was sent explained."""

    list_display = ["arxiv_id", "short_title", "organisation", "last_listed", "upvotes", "is_hidden", "is_withdrawn"]
    list_filter = ["is_hidden", "is_withdrawn", "is_sample", "listings__source", "listings__list_date"]
    search_fields = ["arxiv_id", "title", "organisation"]
    search_help_text = _("An arXiv id, or words of the title or the organisation")
    ordering = ["-arxiv_id"]
    list_per_page = 50
    show_full_result_count = False
    actions = ["hide", "unhide"]
    inlines = [ListingInline, SnapshotInline]
    readonly_fields = [
        *("arxiv_id", "is_sample", "upvotes", "comment_count", "github_stars", "counted_at"),
        *("created_at", "changed_at"),
    ]
    fieldsets = [
        (None, {"fields": ["arxiv_id", "title", "is_hidden", "is_withdrawn", "is_sample"]}),
        (_("Text"), {"fields": ["abstract", "tldr", "keywords", "comment"]}),
        (_("Who and where"), {"fields": ["authors", "organisation", "categories"]}),
        (_("Dates"), {"fields": ["submitted_on", "updated_on", "version", "created_at", "changed_at"]}),
        (_("Links"), {"fields": ["code_url", "project_url", "thumbnail_url"]}),
        (_("Newest counters"), {"fields": ["upvotes", "comment_count", "github_stars", "counted_at"]}),
    ]

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Paper | None = None) -> bool:  # noqa: ARG002
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Paper]:
        newest = Listing.objects.filter(paper=OuterRef("pk")).order_by().values("paper").annotate(on=Max("list_date"))
        return super().get_queryset(request).annotate(listed_on=Subquery(newest.values("on")))

    def save_model(self, request: HttpRequest, obj: Paper, form: forms.ModelForm[Paper], change: bool) -> None:
        """Note what the operator put right, so that no source takes it back."""
        obj.told_by |= {name: OPERATOR for name in form.changed_data if name in WINNERS}
        super().save_model(request, obj, form, change)
        archive.index([obj])
        vectors.forget([obj.pk])

    def formfield_for_dbfield(self, db_field: "models.Field[Any, Any]", request: HttpRequest, **kwargs: Any) -> Any:
        """Let a paper without authors be saved (late papers of a list have none), and take addresses as they are."""
        if isinstance(db_field, models.URLField):
            kwargs["assume_scheme"] = "https"
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if isinstance(field, forms.JSONField):
            field.required = False
        return field

    @admin.display(description=_("title"), ordering="title")
    def short_title(self, paper: Paper) -> str:
        return Truncator(paper.title).chars(90)

    @admin.display(description=_("last listed"), ordering="listed_on")
    def last_listed(self, paper: Paper) -> dt.date | None:
        return getattr(paper, "listed_on", None)

    @admin.action(description=_("Hide from pages and from digests made from now on"), permissions=["change"])
    def hide(self, request: HttpRequest, papers: QuerySet[Paper]) -> None:
        self._set_hidden(request, papers, is_hidden=True)

    @admin.action(description=_("Show again"), permissions=["change"])
    def unhide(self, request: HttpRequest, papers: QuerySet[Paper]) -> None:
        self._set_hidden(request, papers, is_hidden=False)

    def _set_hidden(self, request: HttpRequest, papers: QuerySet[Paper], *, is_hidden: bool) -> None:
        changed = list(Paper.objects.filter(pk__in=papers.values("pk")).exclude(is_hidden=is_hidden))
        Paper.objects.filter(pk__in=[paper.pk for paper in changed]).update(
            is_hidden=is_hidden, changed_at=timezone.now()
        )
        what = _("Hidden") if is_hidden else _("Shown again")
        if changed and request.user.pk is not None:
            LogEntry.objects.log_actions(request.user.pk, changed, CHANGE, str(what))
        self.message_user(request, f"{what}: {len(changed)}")


@admin.register(IngestRun)
class IngestRunAdmin(ReadOnly, admin.ModelAdmin[IngestRun]):
    list_display = [
        *("source", "kind", "list_date", "status", "started_at", "took"),
        *("fetched", "new", "updated", "listed", "rejected", "remark"),
    ]
    list_filter = ["status", "source", "kind"]
    date_hierarchy = "list_date"
    search_fields = ["error"]
    show_full_result_count = False

    @admin.display(description=_("took"))
    def took(self, run: IngestRun) -> str:
        return f"{run.duration.total_seconds():.1f} s" if run.duration is not None else ""

    @admin.display(description=_("remark"))
    def remark(self, run: IngestRun) -> str:
        return Truncator(run.error or run.note).chars(120)


@admin.register(Listing)
class ListingAdmin(ReadOnly, admin.ModelAdmin[Listing]):
    list_display = ["list_date", "source", "paper", "stored_at"]
    list_filter = ["source"]
    list_select_related = ["paper"]
    date_hierarchy = "list_date"
    search_fields = ["paper__arxiv_id", "paper__title"]
    show_full_result_count = False


@admin.register(Snapshot)
class SnapshotAdmin(ReadOnly, admin.ModelAdmin[Snapshot]):
    list_display = ["taken_at", "source", "paper", "upvotes", "comment_count", "github_stars"]
    list_filter = ["source"]
    list_select_related = ["paper"]
    date_hierarchy = "taken_at"
    ordering = ["-taken_at"]
    search_fields = ["paper__arxiv_id", "paper__title"]
    show_full_result_count = False


@admin.register(SourceState)
class SourceStateAdmin(ReadOnly, admin.ModelAdmin[SourceState]):
    list_display = ["source", "next_request_at"]
