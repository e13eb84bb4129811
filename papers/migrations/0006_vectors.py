import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("papers", "0005_search_over_the_archive")]

    operations = [
        migrations.CreateModel(
            name="PaperVector",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("encoder", models.CharField(help_text="Its name, which says its version too.", max_length=80)),
                ("vector", models.BinaryField(help_text="float16, of length 1.")),
                (
                    "paper",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="vectors", to="papers.paper"
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("paper", "encoder"), name="paper_vector_once_per_encoder")
                ],
            },
        ),
    ]
