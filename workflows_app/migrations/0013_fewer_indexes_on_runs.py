"""Fewer indexes on runs: each version of a row is entered in all of them, and a run's row has three versions at least.

Those of keys that another index begins with are gone, and rows that name no subject, parent or origin are not entered
there. Beside it the single one of the organization misled the planner: with statistics of an empty table, the check
that an event's run is there read all runs of the organization through it.
"""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("workflows_app", "0012_begun_together"),
    ]

    operations = [
        migrations.RemoveIndex(
            model_name="workflowrun",
            name="run_by_subject",
        ),
        migrations.RemoveIndex(
            model_name="workflowrun",
            name="run_by_config",
        ),
        migrations.AlterField(
            model_name="workflowrun",
            name="config",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="runs",
                to="workflows_app.workflowconfig",
                verbose_name="workflow version",
            ),
        ),
        migrations.AlterField(
            model_name="workflowrun",
            name="organization",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="accounts_app.organization",
            ),
        ),
        migrations.AlterField(
            model_name="workflowrun",
            name="origin",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="replays",
                to="workflows_app.workflowrun",
                verbose_name="origin",
            ),
        ),
        migrations.AlterField(
            model_name="workflowrun",
            name="parent",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="children",
                to="workflows_app.workflowrun",
                verbose_name="parent",
            ),
        ),
        migrations.AddIndex(
            model_name="workflowrun",
            index=models.Index(
                condition=models.Q(("subject_id__isnull", False)),
                fields=["organization", "subject_id", "-created_at"],
                name="run_by_subject",
            ),
        ),
        migrations.AddIndex(
            model_name="workflowrun",
            index=models.Index(condition=models.Q(("parent__isnull", False)), fields=["parent"], name="run_by_parent"),
        ),
        migrations.AddIndex(
            model_name="workflowrun",
            index=models.Index(condition=models.Q(("origin__isnull", False)), fields=["origin"], name="run_by_origin"),
        ),
        migrations.AddIndex(
            model_name="workflowrun",
            index=models.Index(fields=["config", "organization", "-created_at", "-id"], name="run_by_config"),
        ),
    ]
