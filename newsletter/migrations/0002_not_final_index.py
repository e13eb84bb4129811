"""Let the sweeper find what is still to be sent without reading what was."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("newsletter", "0001_initial")]

    operations = [
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(
                fields=["state"],
                condition=models.Q(state__in=["pending", "retry", "sending"]),
                name="delivery_not_final",
            ),
        ),
    ]
