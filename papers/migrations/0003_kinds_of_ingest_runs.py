from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("papers", "0002_turns_and_kept_answers")]

    operations = [
        migrations.AddField(
            model_name="ingestrun",
            name="kind",
            field=models.CharField(
                choices=[
                    ("list", "a list"),
                    ("revisions", "revisions and withdrawals"),
                    ("details", "details of papers from other sources"),
                ],
                default="list",
                max_length=10,
            ),
        ),
        migrations.AddField(
            model_name="ingestrun",
            name="note",
            field=models.CharField(
                blank=True, help_text="Why a list is empty, or what was odd about it.", max_length=200
            ),
        ),
        migrations.AlterField(
            model_name="ingestrun",
            name="list_date",
            field=models.DateField(help_text="The list's, or the day of the attempt where there is no list."),
        ),
    ]
