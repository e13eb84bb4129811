from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("papers", "0001_initial")]

    operations = [
        migrations.RemoveField(model_name="sourcestate", name="validators"),
        migrations.AddField(
            model_name="sourcestate",
            name="turn_holder",
            field=models.CharField(blank=True, help_text="Who sends a request now, without Redis.", max_length=40),
        ),
        migrations.AddField(
            model_name="sourcestate",
            name="turn_ends_at",
            field=models.DateTimeField(blank=True, help_text="When a holder that died has lost its turn.", null=True),
        ),
        migrations.AddField(
            model_name="sourcestate",
            name="next_turn_at",
            field=models.DateTimeField(blank=True, help_text="No turn before this moment.", null=True),
        ),
        migrations.CreateModel(
            name="Answer",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("source", models.CharField(max_length=20)),
                ("url", models.CharField(max_length=1000)),
                ("etag", models.CharField(blank=True, max_length=200)),
                ("last_modified", models.CharField(blank=True, max_length=200)),
                ("body", models.BinaryField(help_text="Compressed by zlib.")),
                ("kept_at", models.DateTimeField()),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("source", "url"), name="answer_once_per_address")],
            },
        ),
    ]
