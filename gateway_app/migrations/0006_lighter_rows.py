"""Calls and attempts without indexes that no query asks for; one check in place of one for each count."""

import django.db.models.deletion
import django.db.models.functions.comparison
import django.db.models.lookups
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts_app", "0004_api_sessions"),
        ("gateway_app", "0005_written_together"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AlterField(
            model_name="gatewayattempt",
            name="http_status",
            field=models.SmallIntegerField(blank=True, null=True, verbose_name="HTTP status"),
        ),
        migrations.AlterField(
            model_name="gatewayattempt",
            name="latency_ms",
            field=models.IntegerField(blank=True, null=True, verbose_name="took (ms)"),
        ),
        migrations.AlterField(
            model_name="gatewayattempt",
            name="number",
            field=models.SmallIntegerField(verbose_name="number"),
        ),
        migrations.AlterField(
            model_name="gatewayattempt",
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
            model_name="gatewaycall",
            name="cache_write_tokens",
            field=models.IntegerField(default=0, verbose_name="tokens written to the cache"),
        ),
        migrations.AlterField(
            model_name="gatewaycall",
            name="cached_input_tokens",
            field=models.IntegerField(default=0, verbose_name="cached input tokens"),
        ),
        migrations.AlterField(
            model_name="gatewaycall",
            name="first_token_ms",
            field=models.IntegerField(blank=True, null=True, verbose_name="first token after (ms)"),
        ),
        migrations.AlterField(
            model_name="gatewaycall",
            name="images",
            field=models.SmallIntegerField(default=0, verbose_name="images"),
        ),
        migrations.AlterField(
            model_name="gatewaycall",
            name="input_tokens",
            field=models.IntegerField(default=0, verbose_name="input tokens"),
        ),
        migrations.AlterField(
            model_name="gatewaycall",
            name="latency_ms",
            field=models.IntegerField(blank=True, null=True, verbose_name="took (ms)"),
        ),
        migrations.AlterField(
            model_name="gatewaycall",
            name="max_tokens",
            field=models.IntegerField(default=0, verbose_name="most output asked for (tokens)"),
        ),
        migrations.AlterField(
            model_name="gatewaycall",
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
            model_name="gatewaycall",
            name="output_tokens",
            field=models.IntegerField(default=0, verbose_name="output tokens"),
        ),
        migrations.AlterField(
            model_name="gatewaycall",
            name="reasoning_tokens",
            field=models.IntegerField(default=0, verbose_name="reasoning tokens"),
        ),
        migrations.AlterField(
            model_name="gatewaycall",
            name="user",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddConstraint(
            model_name="gatewayattempt",
            constraint=models.CheckConstraint(
                condition=django.db.models.lookups.GreaterThanOrEqual(
                    django.db.models.functions.comparison.Least(
                        "number", "http_status", "latency_ms", output_field=models.IntegerField()
                    ),
                    0,
                ),
                name="attempt_counts_not_negative",
            ),
        ),
        migrations.AddConstraint(
            model_name="gatewaycall",
            constraint=models.CheckConstraint(
                condition=django.db.models.lookups.GreaterThanOrEqual(
                    django.db.models.functions.comparison.Least(
                        "max_tokens",
                        "input_tokens",
                        "cached_input_tokens",
                        "cache_write_tokens",
                        "output_tokens",
                        "reasoning_tokens",
                        "images",
                        "first_token_ms",
                        "latency_ms",
                        output_field=models.IntegerField(),
                    ),
                    0,
                ),
                name="call_counts_not_negative",
            ),
        ),
    ]
