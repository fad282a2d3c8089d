"""Columns that another index begins with need none of their own; see `TenantIndexedModel`."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts_app", "0005_fewer_indexes"),
        ("workflows_app", "0013_fewer_indexes_on_runs"),
    ]

    operations = [
        migrations.AlterField(
            model_name="runarchive",
            name="organization",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="accounts_app.organization",
            ),
        ),
        migrations.AlterField(
            model_name="workflowconfig",
            name="organization",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="accounts_app.organization",
            ),
        ),
        migrations.AlterField(
            model_name="workflowschedule",
            name="organization",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="accounts_app.organization",
            ),
        ),
        migrations.AlterField(
            model_name="workflowslot",
            name="organization",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="accounts_app.organization",
            ),
        ),
    ]
