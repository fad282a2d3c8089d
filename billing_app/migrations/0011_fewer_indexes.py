"""Columns that another index begins with need none of their own; see `TenantIndexedModel`."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts_app", "0005_fewer_indexes"),
        ("billing_app", "0010_holds_by_key"),
    ]

    operations = [
        migrations.AlterField(
            model_name="budget",
            name="organization",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="accounts_app.organization",
            ),
        ),
        migrations.AlterField(
            model_name="storedanswer",
            name="organization",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to="accounts_app.organization",
            ),
        ),
        migrations.AlterField(
            model_name="wallet",
            name="organization",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="accounts_app.organization",
            ),
        ),
    ]
