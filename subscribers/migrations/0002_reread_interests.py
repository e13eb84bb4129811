from django.db import migrations

from subscribers.rereading import reread


class Migration(migrations.Migration):
    """Version 2 of the canonical form: alternatives and fields, which version 1 refused."""

    dependencies = [("subscribers", "0001_initial")]

    operations = [migrations.RunPython(reread, migrations.RunPython.noop)]
