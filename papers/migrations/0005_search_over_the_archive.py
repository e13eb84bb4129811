"""The words of every paper, and on them the full-text index of the database that this is.

On SQLite the index follows its table by triggers: a migration that rebuilds that table has to make them again.
"""

import django.db.models.deletion
from django.apps.registry import Apps
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from papers.archive import VERSION, document
from papers.fulltext import line

SQLITE = [
    """CREATE VIRTUAL TABLE papers_archive
        USING fts5(words, content='papers_paperterms', content_rowid='paper_id', tokenize='ascii')""",
    """CREATE TRIGGER papers_archive_insert AFTER INSERT ON papers_paperterms BEGIN
        INSERT INTO papers_archive (rowid, words) VALUES (new.paper_id, new.words);
    END""",
    """CREATE TRIGGER papers_archive_delete AFTER DELETE ON papers_paperterms BEGIN
        INSERT INTO papers_archive (papers_archive, rowid, words) VALUES ('delete', old.paper_id, old.words);
    END""",
    """CREATE TRIGGER papers_archive_update AFTER UPDATE OF words ON papers_paperterms BEGIN
        INSERT INTO papers_archive (papers_archive, rowid, words) VALUES ('delete', old.paper_id, old.words);
        INSERT INTO papers_archive (rowid, words) VALUES (new.paper_id, new.words);
    END""",
]
POSTGRESQL = [
    """ALTER TABLE papers_paperterms
        ADD COLUMN document tsvector GENERATED ALWAYS AS (to_tsvector('simple', words)) STORED""",
    "CREATE INDEX papers_paperterms_document ON papers_paperterms USING gin (document)",
]


def make_index(_apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    for statement in SQLITE if schema_editor.connection.vendor == "sqlite" else POSTGRESQL:
        schema_editor.execute(statement)


def drop_index(_apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    if schema_editor.connection.vendor == "sqlite":  # elsewhere it goes with its table
        schema_editor.execute("DROP TABLE papers_archive")


def index_papers(apps: Apps, _schema_editor: BaseDatabaseSchemaEditor) -> None:
    paper_terms = apps.get_model("papers", "PaperTerms")
    papers = apps.get_model("papers", "Paper").objects.only(
        "title", "abstract", "keywords", "authors", "organisation", "categories"
    )
    batch = []
    for paper in papers.iterator(chunk_size=500):
        batch.append(paper_terms(paper_id=paper.pk, words=line(document(paper)), version=VERSION))
        if len(batch) == 500:
            paper_terms.objects.bulk_create(batch)
            batch = []
    paper_terms.objects.bulk_create(batch)


class Migration(migrations.Migration):
    dependencies = [("papers", "0004_who_told_what")]

    operations = [
        migrations.CreateModel(
            name="PaperTerms",
            fields=[
                (
                    "paper",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="terms",
                        serialize=False,
                        to="papers.paper",
                    ),
                ),
                ("words", models.TextField(help_text="Folded, those of a field marked: papers/fulltext.py.")),
                (
                    "version",
                    models.PositiveSmallIntegerField(help_text="By which version of the code they were folded."),
                ),
            ],
            options={"verbose_name_plural": "paper terms"},
        ),
        migrations.AddIndex(
            model_name="paper",
            index=models.Index(
                condition=models.Q(("is_hidden", True), ("is_withdrawn", True), _connector="OR"),
                fields=["id"],
                name="paper_not_shown",
            ),
        ),
        migrations.RunPython(make_index, drop_index),
        migrations.RunPython(index_papers, migrations.RunPython.noop),
    ]
