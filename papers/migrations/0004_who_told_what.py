from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("papers", "0003_kinds_of_ingest_runs")]

    operations = [
        migrations.AddField(
            model_name="paper",
            name="told_by",
            field=models.JSONField(
                blank=True, default=dict, help_text="{field: the source, or the operator, that said so}"
            ),
        ),
    ]
