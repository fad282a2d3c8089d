"""Budgets, whose key and project a call was, prices of images, and roll-ups by project, key, person and task."""

import uuid
from decimal import Decimal

import django.contrib.postgres.fields
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from accounts_app.tenancy.rls import enable_rls


def same_organization(table: str, column: str, target: str) -> migrations.RunSQL:
    """Refuse a reference to another organization's row, which a plain foreign key would let through."""
    return migrations.RunSQL(
        sql=f"""
            ALTER TABLE {table} ADD CONSTRAINT {table}_{column}_same_organization
            FOREIGN KEY (organization_id, {column}) REFERENCES {target} (organization_id, id)
            DEFERRABLE INITIALLY DEFERRED;
        """,
        reverse_sql=f"ALTER TABLE {table} DROP CONSTRAINT {table}_{column}_same_organization;",
    )


# Row-level security binds the tables' owner too.
AS_OPERATOR = "SELECT set_config('app.operator', 'migration', true);"

# A record takes its call's id: one column less, and unique over all partitions that are made by id.
THE_CALLS_ID_IS_THE_RECORDS = migrations.SeparateDatabaseAndState(
    database_operations=[
        migrations.RunSQL(
            sql=f"""
                {AS_OPERATOR}
                ALTER TABLE openai_usage DISABLE TRIGGER append_only;
                UPDATE openai_usage SET id = call_id;
                ALTER TABLE openai_usage ENABLE TRIGGER append_only;
                ALTER TABLE openai_usage DROP COLUMN call_id;
            """,
            reverse_sql=f"""
                {AS_OPERATOR}
                ALTER TABLE openai_usage ADD COLUMN call_id uuid;
                ALTER TABLE openai_usage DISABLE TRIGGER append_only;
                UPDATE openai_usage SET call_id = id;
                ALTER TABLE openai_usage ENABLE TRIGGER append_only;
                ALTER TABLE openai_usage ALTER COLUMN call_id SET NOT NULL;
                ALTER TABLE openai_usage ADD CONSTRAINT usage_once_per_call UNIQUE (call_id);
            """,
        )
    ],
    state_operations=[
        migrations.RemoveConstraint(model_name="usagerecord", name="usage_once_per_call"),
        migrations.RemoveField(model_name="usagerecord", name="call_id"),
    ],
)

# The days are counted again, finer; days that have no records any more stay as they are.
ROLL_UPS_AGAIN = migrations.RunSQL(
    sql=f"""
        {AS_OPERATOR}
        DELETE FROM usage_daily d USING openai_usage u
        WHERE u.organization_id = d.organization_id AND u.model = d.model
          AND (u.created_at AT TIME ZONE 'UTC')::date = d.day;
        INSERT INTO usage_daily (organization_id, day, model, user_id, calls, input_tokens, output_tokens, cost_usd,
                                 charged_usd)
        SELECT organization_id, (created_at AT TIME ZONE 'UTC')::date, model, user_id, count(*), sum(input_tokens),
               sum(output_tokens), sum(cost_usd), sum(charged_usd)
        FROM openai_usage GROUP BY 1, 2, 3, 4;
        INSERT INTO usage_by_task (id, organization_id, task_id, calls, input_tokens, output_tokens, cost_usd,
                                   charged_usd)
        SELECT gen_random_uuid(), organization_id, task_id, count(*), sum(input_tokens), sum(output_tokens),
               sum(cost_usd), sum(charged_usd)
        FROM openai_usage WHERE task_id IS NOT NULL GROUP BY organization_id, task_id;
    """,
    reverse_sql=f"""
        {AS_OPERATOR}
        CREATE TEMPORARY TABLE days ON COMMIT DROP AS
            SELECT organization_id, day, model, sum(calls) AS calls, sum(input_tokens) AS input_tokens,
                   sum(output_tokens) AS output_tokens, sum(cost_usd) AS cost_usd, sum(charged_usd) AS charged_usd
            FROM usage_daily GROUP BY 1, 2, 3;
        DELETE FROM usage_daily;
        INSERT INTO usage_daily (organization_id, day, model, calls, input_tokens, output_tokens, cost_usd, charged_usd)
        SELECT * FROM days;
    """,
)

# Rows that change with every call: room on the page keeps their new versions beside the old ones, out of the indexes.
HOT_ROWS = migrations.RunSQL(
    sql="".join(
        f"ALTER TABLE {table} SET (fillfactor = 50);"
        for table in ("wallets", "budget_windows", "usage_daily", "usage_by_task")
    ),
    reverse_sql="".join(
        f"ALTER TABLE {table} RESET (fillfactor);"
        for table in ("wallets", "budget_windows", "usage_daily", "usage_by_task")
    ),
)


class Migration(migrations.Migration):
    dependencies = [
        ("accounts_app", "0002_row_level_security"),
        ("billing_app", "0002_ledger_rules"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        # Its name is the table's that follows.
        migrations.RenameIndex(
            model_name="usagerecord",
            new_name="usage_of_a_task",
            old_name="usage_by_task",
        ),
        migrations.CreateModel(
            name="Budget",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "scope",
                    models.CharField(
                        choices=[
                            ("organization", "Organization"),
                            ("project", "Project"),
                            ("member", "Member"),
                            ("key", "API key"),
                        ],
                        max_length=12,
                        verbose_name="scope",
                    ),
                ),
                ("subject_id", models.UUIDField(blank=True, null=True, verbose_name="subject")),
                (
                    "period",
                    models.CharField(
                        choices=[("day", "Day"), ("month", "Month"), ("total", "In total")],
                        max_length=5,
                        verbose_name="period",
                    ),
                ),
                ("limit_usd", models.DecimalField(decimal_places=10, max_digits=20, verbose_name="limit (USD)")),
                ("soft_percent", models.PositiveSmallIntegerField(default=80, verbose_name="warn at (%)")),
                (
                    "on_exceed",
                    models.CharField(
                        choices=[("refuse", "Refuse the call"), ("fallback", "Use the cheaper model")],
                        default="refuse",
                        max_length=8,
                        verbose_name="when exceeded",
                    ),
                ),
                ("is_active", models.BooleanField(default=True, verbose_name="active")),
                ("updated_at", models.DateTimeField(auto_now=True, verbose_name="changed at")),
            ],
            options={
                "verbose_name": "budget",
                "verbose_name_plural": "budgets",
                "db_table": "budgets",
                "ordering": ["scope", "created_at", "id"],
            },
        ),
        migrations.CreateModel(
            name="BudgetWindow",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("period_start", models.DateField(verbose_name="since")),
                (
                    "opening",
                    models.DecimalField(
                        decimal_places=10, default=Decimal(0), max_digits=20, verbose_name="spent before (USD)"
                    ),
                ),
                (
                    "spent",
                    models.DecimalField(
                        decimal_places=10, default=Decimal(0), max_digits=20, verbose_name="spent (USD)"
                    ),
                ),
                (
                    "held",
                    models.DecimalField(
                        decimal_places=10, default=Decimal(0), max_digits=20, verbose_name="held (USD)"
                    ),
                ),
                ("refused_at", models.DateTimeField(blank=True, null=True, verbose_name="first refusal")),
                ("notified_soft_at", models.DateTimeField(blank=True, null=True, verbose_name="warned at")),
                ("notified_hard_at", models.DateTimeField(blank=True, null=True, verbose_name="limit reported at")),
            ],
            options={
                "verbose_name": "budget window",
                "verbose_name_plural": "budget windows",
                "db_table": "budget_windows",
                "ordering": ["-period_start", "id"],
                "indexes": [
                    models.Index(
                        condition=models.Q(("notified_hard_at__isnull", True)),
                        fields=["period_start"],
                        name="budget_window_unreported",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="TaskUsage",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("task_id", models.UUIDField(verbose_name="task")),
                ("calls", models.BigIntegerField(default=0, verbose_name="calls")),
                ("input_tokens", models.BigIntegerField(default=0, verbose_name="input tokens")),
                ("output_tokens", models.BigIntegerField(default=0, verbose_name="output tokens")),
                (
                    "cost_usd",
                    models.DecimalField(
                        decimal_places=10, default=Decimal(0), max_digits=20, verbose_name="cost (USD)"
                    ),
                ),
                (
                    "charged_usd",
                    models.DecimalField(
                        decimal_places=10, default=Decimal(0), max_digits=20, verbose_name="charged (USD)"
                    ),
                ),
            ],
            options={
                "verbose_name": "usage by task",
                "verbose_name_plural": "usage by task",
                "db_table": "usage_by_task",
            },
        ),
        migrations.RemoveConstraint(
            model_name="price",
            name="price_not_negative",
        ),
        migrations.RemoveConstraint(
            model_name="usagedaily",
            name="usage_daily_once",
        ),
        migrations.AddField(
            model_name="hold",
            name="api_key_id",
            field=models.UUIDField(blank=True, null=True, verbose_name="API key"),
        ),
        migrations.AddField(
            model_name="hold",
            name="budget_windows",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.UUIDField(),
                blank=True,
                db_default=[],
                default=list,
                size=None,
                verbose_name="budget windows",
            ),
        ),
        migrations.AddField(
            model_name="hold",
            name="project_id",
            field=models.UUIDField(blank=True, null=True, verbose_name="project"),
        ),
        migrations.AddField(
            model_name="price",
            name="image_tiers",
            field=models.JSONField(blank=True, default=dict, verbose_name="image tiers"),
        ),
        migrations.AddField(
            model_name="price",
            name="per_image",
            field=models.DecimalField(
                decimal_places=10, default=Decimal(0), max_digits=20, verbose_name="per image (USD)"
            ),
        ),
        migrations.AddField(
            model_name="transaction",
            name="hash",
            field=models.CharField(default="", max_length=64, verbose_name="hash"),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="transaction",
            name="prev_hash",
            field=models.CharField(blank=True, max_length=64, verbose_name="hash of the entry before"),
        ),
        migrations.AddField(
            model_name="usagedaily",
            name="api_key_id",
            field=models.UUIDField(blank=True, null=True, verbose_name="API key"),
        ),
        migrations.AddField(
            model_name="usagedaily",
            name="project_id",
            field=models.UUIDField(blank=True, null=True, verbose_name="project"),
        ),
        migrations.AddField(
            model_name="usagedaily",
            name="user_id",
            field=models.UUIDField(blank=True, null=True, verbose_name="user"),
        ),
        migrations.AddField(
            model_name="usagerecord",
            name="api_key_id",
            field=models.UUIDField(blank=True, null=True, verbose_name="API key"),
        ),
        migrations.AddField(
            model_name="usagerecord",
            name="endpoint",
            field=models.CharField(blank=True, default="", max_length=60, verbose_name="endpoint"),
        ),
        migrations.AddField(
            model_name="usagerecord",
            name="project_id",
            field=models.UUIDField(blank=True, null=True, verbose_name="project"),
        ),
        migrations.AddField(
            model_name="wallet",
            name="hash",
            field=models.CharField(blank=True, default="", max_length=64, verbose_name="hash of the last entry"),
        ),
        migrations.AlterField(
            model_name="hold",
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
            model_name="hold",
            name="user",
            field=models.ForeignKey(
                blank=True,
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AlterField(
            model_name="hold",
            name="wallet",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="holds",
                to="billing_app.wallet",
            ),
        ),
        migrations.AlterField(
            model_name="transaction",
            name="hold",
            field=models.ForeignKey(
                blank=True,
                db_constraint=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="transactions",
                to="billing_app.hold",
            ),
        ),
        migrations.AlterField(
            model_name="transaction",
            name="organization",
            field=models.ForeignKey(
                db_constraint=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="accounts_app.organization",
            ),
        ),
        migrations.AlterField(
            model_name="transaction",
            name="wallet",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="transactions",
                to="billing_app.wallet",
            ),
        ),
        migrations.AlterField(
            model_name="usagedaily",
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
            model_name="usagerecord",
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
            model_name="usagerecord",
            name="price",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="billing_app.price",
            ),
        ),
        migrations.AddConstraint(
            model_name="price",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("cache_write__gte", 0),
                    ("cached_input__gte", 0),
                    ("input__gte", 0),
                    ("output__gte", 0),
                    ("per_image__gte", 0),
                    ("per_request__gte", 0),
                    ("reasoning__gte", 0),
                ),
                name="price_not_negative",
            ),
        ),
        THE_CALLS_ID_IS_THE_RECORDS,
        migrations.AddConstraint(
            model_name="usagedaily",
            constraint=models.UniqueConstraint(
                fields=("organization", "day", "model", "project_id", "api_key_id", "user_id"),
                name="usage_daily_once",
                nulls_distinct=False,
            ),
        ),
        migrations.AddField(
            model_name="budget",
            name="organization",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to="accounts_app.organization"
            ),
        ),
        migrations.AddField(
            model_name="budget",
            name="user",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="budgetwindow",
            name="budget",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="windows",
                to="billing_app.budget",
            ),
        ),
        migrations.AddField(
            model_name="budgetwindow",
            name="organization",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="accounts_app.organization",
            ),
        ),
        migrations.AddField(
            model_name="taskusage",
            name="organization",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="accounts_app.organization",
            ),
        ),
        migrations.AddConstraint(
            model_name="budget",
            constraint=models.UniqueConstraint(
                fields=("organization", "scope", "subject_id", "period"), name="budget_once", nulls_distinct=False
            ),
        ),
        migrations.AddConstraint(
            model_name="budget",
            constraint=models.UniqueConstraint(fields=("organization", "id"), name="budget_in_organization"),
        ),
        migrations.AddConstraint(
            model_name="budget",
            constraint=models.CheckConstraint(
                condition=models.Q(("scope__in", ["organization", "project", "member", "key"])),
                name="budget_scope_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="budget",
            constraint=models.CheckConstraint(
                condition=models.Q(("period__in", ["day", "month", "total"])), name="budget_period_known"
            ),
        ),
        migrations.AddConstraint(
            model_name="budget",
            constraint=models.CheckConstraint(
                condition=models.Q(("on_exceed__in", ["refuse", "fallback"])), name="budget_on_exceed_known"
            ),
        ),
        migrations.AddConstraint(
            model_name="budget",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("scope", "organization"), ("subject_id__isnull", True)),
                    models.Q(models.Q(("scope", "organization"), _negated=True), ("subject_id__isnull", False)),
                    _connector="OR",
                ),
                name="budget_subject_when_scoped",
            ),
        ),
        migrations.AddConstraint(
            model_name="budget",
            constraint=models.CheckConstraint(
                condition=models.Q(("limit_usd__gte", 0)), name="budget_limit_not_negative"
            ),
        ),
        migrations.AddConstraint(
            model_name="budget",
            constraint=models.CheckConstraint(
                condition=models.Q(("soft_percent__gte", 1), ("soft_percent__lte", 100)),
                name="budget_soft_percent_1_to_100",
            ),
        ),
        migrations.AddConstraint(
            model_name="budgetwindow",
            constraint=models.UniqueConstraint(fields=("budget", "period_start"), name="budget_window_once"),
        ),
        migrations.AddConstraint(
            model_name="budgetwindow",
            constraint=models.CheckConstraint(
                condition=models.Q(("held__gte", 0), ("opening__gte", 0), ("spent__gte", 0)),
                name="budget_window_not_negative",
            ),
        ),
        migrations.AddConstraint(
            model_name="taskusage",
            constraint=models.UniqueConstraint(fields=("organization", "task_id"), name="usage_by_task_once"),
        ),
        ROLL_UPS_AGAIN,
        same_organization("budget_windows", "budget_id", "budgets"),
        *(enable_rls(table) for table in ("budgets", "budget_windows", "usage_by_task")),
        HOT_ROWS,
    ]
