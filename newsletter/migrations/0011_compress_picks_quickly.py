"""Evidence is compressed by LZ4: PostgreSQL's own way took a quarter of the time of writing a digest's picks."""

from typing import Any

from django.db import migrations

HAS_LZ4 = "SELECT 1 FROM pg_settings WHERE name = 'default_toast_compression' AND 'lz4' = ANY(enumvals)"


def compress(_apps: Any, editor: Any) -> None:
    with editor.connection.cursor() as cursor:
        if editor.connection.vendor != "postgresql":
            return
        cursor.execute(HAS_LZ4)
        if cursor.fetchone():
            cursor.execute("ALTER TABLE newsletter_deliverypicks ALTER COLUMN details SET COMPRESSION lz4")


class Migration(migrations.Migration):
    dependencies = [
        ("newsletter", "0010_leaner_delivery_indexes"),
    ]

    operations = [
        migrations.RunPython(compress, migrations.RunPython.noop),
    ]
