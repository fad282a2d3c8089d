from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("workflows_app", "0002_row_level_security")]

    operations = [
        migrations.AddIndex("runevent", models.Index(fields=["trace_id"], name="run_event_by_trace")),
        migrations.AddIndex("workflowrun", models.Index(fields=["trace_id"], name="run_by_trace")),
    ]
