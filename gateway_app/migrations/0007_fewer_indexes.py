"""Columns that another index begins with need none of their own; see `TenantIndexedModel`."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts_app", "0005_fewer_indexes"),
        ("gateway_app", "0006_lighter_rows"),
    ]

    operations = [
        migrations.AlterField(
            model_name="gatewayoperation",
            name="organization",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="accounts_app.organization",
            ),
        ),
        migrations.AlterField(
            model_name="modelroute",
            name="entry",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="routes",
                to="gateway_app.modelentry",
                verbose_name="model",
            ),
        ),
        migrations.AlterField(
            model_name="ratelimit",
            name="organization",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="accounts_app.organization",
            ),
        ),
    ]
