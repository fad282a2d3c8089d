from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tasks_app", "0002_row_level_security")]

    operations = [
        migrations.AddIndex("taskevent", models.Index(fields=["trace_id"], name="task_event_by_trace")),
    ]
