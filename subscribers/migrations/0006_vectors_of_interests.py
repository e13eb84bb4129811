import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("subscribers", "0005_change_of_address")]

    operations = [
        migrations.CreateModel(
            name="InterestVector",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("encoder", models.CharField(help_text="Its name, which says its version too.", max_length=80)),
                (
                    "vectors",
                    models.BinaryField(help_text="float16, of length 1 each: one for each alternative with a topic."),
                ),
                (
                    "interest",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="vectors",
                        to="subscribers.interest",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("interest", "encoder"), name="interest_vector_once_per_encoder")
                ],
            },
        ),
    ]
