"""The roll-ups of runs and steps, and the indexes that the job which keeps them reads by."""

from decimal import Decimal
from pathlib import Path

import django.db.models.deletion
from django.db import migrations, models

from accounts_app.tenancy.rls import enable_rls

SQL = Path(__file__).resolve().parent.parent / "sql" / "workflow_statistics.sql"
GRAINS = [("minute", "Minute"), ("hour", "Hour"), ("day", "Day")]

FUNCTIONS = migrations.RunSQL(
    sql=SQL.read_text(encoding="utf-8"),
    reverse_sql="""
        DROP FUNCTION workflow_ready_since(uuid, timestamptz, timestamptz);
        DROP FUNCTION workflow_moment(uuid);
        DROP FUNCTION workflow_count_steps(double precision, integer);
        DROP FUNCTION workflow_count_runs(double precision, integer);
        DROP FUNCTION workflow_statistics_levels(uuid, timestamptz);
        DROP FUNCTION workflow_statistics_bucket(double precision);
        DROP FUNCTION workflow_statistics_horizon(double precision);
    """,
)
# From the beginning: what is there already is counted by the job, batch by batch.
WATERMARKS = migrations.RunSQL(
    sql="""
        SELECT set_config('app.operator', 'migration', true);
        INSERT INTO statistics_watermarks (name, at, counted) VALUES ('runs', '1970-01-01Z', 0), ('steps', '1970-01-01Z', 0);
        SELECT set_config('app.operator', '', true);
    """,
    reverse_sql=migrations.RunSQL.noop,
)


def _figures(*own: tuple[str, "models.Field[object, object]"]) -> list[tuple[str, "models.Field[object, object]"]]:
    return [
        ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
        ("grain", models.CharField(choices=GRAINS, max_length=6, verbose_name="grain")),
        ("since", models.DateTimeField(verbose_name="since")),
        ("config_id", models.UUIDField(verbose_name="workflow version")),
        ("status", models.CharField(max_length=10, verbose_name="status")),
        ("error_code", models.CharField(blank=True, max_length=60, verbose_name="error code")),
        ("bucket", models.SmallIntegerField(verbose_name="bucket")),
        ("count", models.BigIntegerField(verbose_name="count")),
        (
            "cost_usd",
            models.DecimalField(decimal_places=10, default=Decimal(0), max_digits=24, verbose_name="cost (USD)"),
        ),
        ("duration_ms", models.BigIntegerField(verbose_name="duration (ms)")),
        ("example_id", models.UUIDField(verbose_name="example")),
        *own,
        (
            "organization",
            models.ForeignKey(
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="accounts_app.organization",
            ),
        ),
    ]


class Migration(migrations.Migration):
    dependencies = [("workflows_app", "0008_schedules")]

    operations = [
        migrations.CreateModel(
            name="RunStatistic",
            fields=_figures(("kind", models.CharField(max_length=10, verbose_name="kind"))),
            options={
                "verbose_name": "run figure",
                "verbose_name_plural": "run figures",
                "db_table": "run_statistics",
                "ordering": ["-since", "-id"],
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="StepStatistic",
            fields=_figures(
                ("stage", models.CharField(blank=True, max_length=32, verbose_name="stage")),
                ("key", models.CharField(max_length=60, verbose_name="key")),
                ("handler", models.CharField(max_length=60, verbose_name="handler")),
                ("tokens", models.BigIntegerField(default=0, verbose_name="tokens")),
            ),
            options={
                "verbose_name": "step figure",
                "verbose_name_plural": "step figures",
                "db_table": "step_statistics",
                "ordering": ["-since", "-id"],
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="StatisticsWatermark",
            fields=[
                ("name", models.CharField(max_length=10, primary_key=True, serialize=False, verbose_name="name")),
                ("at", models.DateTimeField(verbose_name="counted until")),
                ("counted", models.BigIntegerField(default=0, verbose_name="counted")),
            ],
            options={
                "verbose_name": "watermark",
                "verbose_name_plural": "watermarks",
                "db_table": "statistics_watermarks",
            },
        ),
        migrations.AddConstraint(
            model_name="runstatistic",
            constraint=models.UniqueConstraint(
                fields=("organization", "grain", "since", "config_id", "kind", "status", "error_code", "bucket"),
                name="run_statistic_once",
                nulls_distinct=False,
            ),
        ),
        migrations.AddConstraint(
            model_name="stepstatistic",
            constraint=models.UniqueConstraint(
                fields=(
                    "organization",
                    "grain",
                    "since",
                    "config_id",
                    "stage",
                    "key",
                    "handler",
                    "status",
                    "error_code",
                    "bucket",
                ),
                name="step_statistic_once",
                nulls_distinct=False,
            ),
        ),
        migrations.AddIndex(
            model_name="runevent",
            index=models.Index(
                condition=models.Q(
                    (
                        "type__in",
                        ["run.created", "run.forked", "run.retried", "run.completed", "run.failed", "run.cancelled"],
                    )
                ),
                fields=["created_at"],
                name="run_event_counted",
            ),
        ),
        migrations.AddIndex(model_name="steprun", index=models.Index(fields=["finished_at"], name="step_by_end")),
        migrations.RemoveIndex(model_name="workflowrun", name="run_by_status"),
        migrations.AddIndex(
            model_name="workflowrun",
            index=models.Index(fields=["status", "organization", "-created_at", "-id"], name="run_of_status"),
        ),
        # Rows of all organizations together are for operators alone.
        enable_rls("run_statistics"),
        enable_rls("step_statistics"),
        enable_rls("statistics_watermarks", using="false", check="false"),
        WATERMARKS,
        FUNCTIONS,
    ]
