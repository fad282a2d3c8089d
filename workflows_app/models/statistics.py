from decimal import Decimal
from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _


class Grain(models.TextChoices):
    """How long a row's period is. Minutes and hours are of all organizations together, and are kept for a while."""

    MINUTE = "minute", _("Minute")
    HOUR = "hour", _("Hour")
    DAY = "day", _("Day")


class _Statistic(models.Model):
    """What a period's happenings of one kind add up to, in one bucket of durations.

    Without organization: all of them. ``bucket`` is by ``workflow_statistics_bucket``; -1: without a duration.
    """

    organization = models.ForeignKey(
        "accounts_app.Organization", on_delete=models.PROTECT, null=True, related_name="+", db_constraint=False,
        db_index=False,
    )  # fmt: skip
    grain = models.CharField(_("grain"), max_length=6, choices=Grain)
    since = models.DateTimeField(_("since"))
    # No foreign key: these rows are written in bulk, and versions that were used are never deleted.
    config_id = models.UUIDField(_("workflow version"))
    status = models.CharField(_("status"), max_length=10)
    error_code = models.CharField(_("error code"), max_length=60, blank=True)
    bucket = models.SmallIntegerField(_("bucket"))
    count = models.BigIntegerField(_("count"))
    cost_usd = models.DecimalField(_("cost (USD)"), max_digits=24, decimal_places=10, default=Decimal(0))
    duration_ms = models.BigIntegerField(_("duration (ms)"))
    # The newest run that was counted here.
    example_id = models.UUIDField(_("example"))

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.since:%Y-%m-%d %H:%M} {self.status} {self.count}"


class RunStatistic(_Statistic):
    """Runs that were created (status ``created``) or ended in a period. ``kind``: workflow, stage, or child."""

    kind = models.CharField(_("kind"), max_length=10)

    class Meta:
        db_table = "run_statistics"
        verbose_name = _("run figure")
        verbose_name_plural = _("run figures")
        ordering: ClassVar[list[str]] = ["-since", "-id"]
        constraints = [
            # The upsert's target, and the index of every read: WHERE organization_id … AND grain = … AND since >= …
            models.UniqueConstraint(
                fields=["organization", "grain", "since", "config_id", "kind", "status", "error_code", "bucket"],
                name="run_statistic_once",
                nulls_distinct=False,
            ),
        ]


class StepStatistic(_Statistic):
    """Attempts at steps that ended in a period."""

    stage = models.CharField(_("stage"), max_length=32, blank=True)
    key = models.CharField(_("key"), max_length=60)
    handler = models.CharField(_("handler"), max_length=60)
    tokens = models.BigIntegerField(_("tokens"), default=0)

    class Meta:
        db_table = "step_statistics"
        verbose_name = _("step figure")
        verbose_name_plural = _("step figures")
        ordering: ClassVar[list[str]] = ["-since", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=[
                    "organization", "grain", "since", "config_id", "stage", "key", "handler", "status", "error_code",
                    "bucket",
                ],
                name="step_statistic_once",
                nulls_distinct=False,
            ),
        ]  # fmt: skip


class StatisticsWatermark(models.Model):
    """Up to which moment runs and steps are counted, and how many happenings that were."""

    name = models.CharField(_("name"), max_length=10, primary_key=True)
    at = models.DateTimeField(_("counted until"))
    counted = models.BigIntegerField(_("counted"), default=0)

    class Meta:
        db_table = "statistics_watermarks"
        verbose_name = _("watermark")
        verbose_name_plural = _("watermarks")

    def __str__(self) -> str:
        return f"{self.name} {self.at}"
