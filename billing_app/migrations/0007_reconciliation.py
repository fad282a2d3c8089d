"""Providers' reports, and what a comparison of ledger, usage and reports has found. Operators only."""

import uuid

import django.contrib.postgres.indexes
import django.db.models.deletion
import django.db.models.expressions
from django.db import migrations, models

from accounts_app.tenancy.rls import enable_rls

TABLES = ("provider_reports", "provider_report_rows", "reconciliation_runs", "reconciliation_differences")


class Migration(migrations.Migration):
    dependencies = [
        ("billing_app", "0006_months_and_revisions"),
    ]

    operations = [
        migrations.CreateModel(
            name="ProviderReport",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("provider", models.CharField(max_length=60, verbose_name="provider")),
                ("name", models.CharField(max_length=200, verbose_name="file")),
                ("digest", models.CharField(max_length=64, verbose_name="digest")),
                ("lines", models.PositiveIntegerField(verbose_name="lines")),
                ("first_day", models.DateField(verbose_name="first day")),
                ("last_day", models.DateField(verbose_name="last day")),
                ("created_at", models.DateTimeField(auto_now_add=True, verbose_name="read in at")),
            ],
            options={
                "verbose_name": "provider's report",
                "verbose_name_plural": "providers' reports",
                "db_table": "provider_reports",
                "ordering": ["-created_at"],
            },
        ),
        migrations.CreateModel(
            name="ProviderReportRow",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("provider", models.CharField(max_length=60, verbose_name="provider")),
                ("key", models.CharField(max_length=200, verbose_name="about")),
                ("call_id", models.UUIDField(blank=True, null=True, verbose_name="call")),
                ("request_id", models.CharField(blank=True, max_length=200, verbose_name="request")),
                ("day", models.DateField(verbose_name="day")),
                ("model", models.CharField(max_length=120, verbose_name="model")),
                ("requests", models.BigIntegerField(default=1, verbose_name="requests")),
                ("input_tokens", models.BigIntegerField(default=0, verbose_name="input tokens")),
                ("cached_input_tokens", models.BigIntegerField(default=0, verbose_name="cached input tokens")),
                ("cache_write_tokens", models.BigIntegerField(default=0, verbose_name="tokens written to the cache")),
                ("output_tokens", models.BigIntegerField(default=0, verbose_name="output tokens")),
                ("reasoning_tokens", models.BigIntegerField(default=0, verbose_name="reasoning tokens")),
                (
                    "cost_usd",
                    models.DecimalField(
                        blank=True, decimal_places=10, max_digits=20, null=True, verbose_name="cost (USD)"
                    ),
                ),
            ],
            options={
                "verbose_name": "line of a provider's report",
                "verbose_name_plural": "lines of providers' reports",
                "db_table": "provider_report_rows",
                "ordering": ["-day", "model", "key"],
            },
        ),
        migrations.CreateModel(
            name="ReconciliationDifference",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("day", models.DateField(verbose_name="day")),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("charge", "Charge and capture"),
                            ("unrecorded", "Not recorded by us"),
                            ("unreported", "Not reported by the provider"),
                            ("tokens", "Tokens of a call"),
                            ("totals", "Totals of a day"),
                        ],
                        max_length=12,
                        verbose_name="what differs",
                    ),
                ),
                ("provider", models.CharField(blank=True, max_length=60, verbose_name="provider")),
                ("model", models.CharField(blank=True, max_length=120, verbose_name="model")),
                ("call_id", models.UUIDField(blank=True, null=True, verbose_name="call")),
                ("request_id", models.CharField(blank=True, max_length=200, verbose_name="request")),
                ("ours", models.JSONField(verbose_name="our figures")),
                ("theirs", models.JSONField(verbose_name="the other figures")),
                ("explanation", models.CharField(blank=True, max_length=300, verbose_name="explanation")),
                ("explained_at", models.DateTimeField(blank=True, null=True, verbose_name="explained at")),
                ("created_at", models.DateTimeField(auto_now_add=True, verbose_name="found at")),
            ],
            options={
                "verbose_name": "difference",
                "verbose_name_plural": "differences",
                "db_table": "reconciliation_differences",
                "ordering": ["-day", "kind", "provider", "model", "id"],
            },
        ),
        migrations.CreateModel(
            name="ReconciliationRun",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("day", models.DateField(verbose_name="day")),
                ("calls", models.BigIntegerField(verbose_name="calls recorded")),
                ("reported", models.BigIntegerField(verbose_name="requests reported")),
                ("differences", models.PositiveIntegerField(verbose_name="differences")),
                ("created_at", models.DateTimeField(auto_now_add=True, verbose_name="compared at")),
            ],
            options={
                "verbose_name": "reconciliation",
                "verbose_name_plural": "reconciliations",
                "db_table": "reconciliation_runs",
                "ordering": ["-created_at"],
            },
        ),
        migrations.AddIndex(
            model_name="transaction",
            index=django.contrib.postgres.indexes.BrinIndex(fields=["created_at"], name="transaction_by_moment"),
        ),
        migrations.AddIndex(
            model_name="usagerecord",
            index=django.contrib.postgres.indexes.BrinIndex(fields=["created_at"], name="usage_by_moment"),
        ),
        migrations.AddConstraint(
            model_name="providerreport",
            constraint=models.UniqueConstraint(fields=("provider", "digest"), name="provider_report_once"),
        ),
        migrations.AddConstraint(
            model_name="providerreport",
            constraint=models.CheckConstraint(
                condition=models.Q(("first_day__lte", models.F("last_day"))), name="provider_report_days"
            ),
        ),
        migrations.AddField(
            model_name="providerreportrow",
            name="report",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="rows", to="billing_app.providerreport"
            ),
        ),
        migrations.AddField(
            model_name="reconciliationdifference",
            name="organization",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="accounts_app.organization",
            ),
        ),
        migrations.AddIndex(
            model_name="reconciliationrun",
            index=models.Index(fields=["day"], name="reconciliation_by_day"),
        ),
        migrations.AddField(
            model_name="reconciliationdifference",
            name="run",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="found", to="billing_app.reconciliationrun"
            ),
        ),
        migrations.AddIndex(
            model_name="providerreportrow",
            index=models.Index(
                condition=models.Q(("call_id__isnull", False)), fields=["call_id"], name="provider_row_by_call"
            ),
        ),
        migrations.AddIndex(
            model_name="providerreportrow",
            index=models.Index(fields=["day", "provider"], name="provider_row_by_day"),
        ),
        migrations.AddConstraint(
            model_name="providerreportrow",
            constraint=models.UniqueConstraint(fields=("provider", "key"), name="provider_report_row_once"),
        ),
        migrations.AddConstraint(
            model_name="providerreportrow",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("cache_write_tokens__gte", 0),
                    ("cached_input_tokens__gte", 0),
                    (
                        "input_tokens__gte",
                        django.db.models.expressions.CombinedExpression(
                            models.F("cached_input_tokens"), "+", models.F("cache_write_tokens")
                        ),
                    ),
                    ("output_tokens__gte", models.F("reasoning_tokens")),
                    ("reasoning_tokens__gte", 0),
                    ("requests__gte", 0),
                ),
                name="provider_report_row_tokens_add_up",
            ),
        ),
        migrations.AddConstraint(
            model_name="reconciliationdifference",
            constraint=models.UniqueConstraint(
                fields=("day", "kind", "provider", "model", "call_id", "request_id"),
                name="difference_once",
                nulls_distinct=False,
            ),
        ),
        migrations.AddConstraint(
            model_name="reconciliationdifference",
            constraint=models.CheckConstraint(
                condition=models.Q(("kind__in", ["charge", "unrecorded", "unreported", "tokens", "totals"])),
                name="difference_kind_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="reconciliationdifference",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("explained_at__isnull", True), ("explanation", "")),
                    models.Q(models.Q(("explanation", ""), _negated=True), ("explained_at__isnull", False)),
                    _connector="OR",
                ),
                name="difference_explained_at_when_explained",
            ),
        ),
        *(enable_rls(table, using="false", check="false") for table in TABLES),
    ]
