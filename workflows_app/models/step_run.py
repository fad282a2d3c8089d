from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts_app.tenancy.models import TenantModel


class StepStatus(models.TextChoices):
    """``lost``: the worker went away in the middle; another attempt follows. At most one attempt completes."""

    RUNNING = "running", _("Running")
    COMPLETED = "completed", _("Completed")
    FAILED = "failed", _("Failed")
    CANCELLED = "cancelled", _("Cancelled")
    LOST = "lost", _("Lost")
    SKIPPED = "skipped", _("Skipped")


class StepRun(TenantModel):
    """One attempt at one step of a run, written when it has ended; the one under way is in its run's row.

    ``path`` names the step within the run: its stage, which visit of it, its key ("D", "D#2" → "D#2/review").
    """

    # One key leads to the run and its organization, see migration 0010; the unique keys below begin with the run.
    organization = models.ForeignKey(
        "accounts_app.Organization", on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    run = models.ForeignKey(
        "workflows_app.WorkflowRun",
        on_delete=models.PROTECT,
        related_name="step_runs",
        db_constraint=False,
        db_index=False,
    )
    path = models.CharField(_("path"), max_length=120)
    stage = models.CharField(_("stage"), max_length=32, blank=True)
    key = models.CharField(_("key"), max_length=60)
    position = models.PositiveSmallIntegerField(_("position"))
    action = models.CharField(_("action"), max_length=40)
    via = models.CharField(_("via"), max_length=60, blank=True)
    attempt = models.PositiveSmallIntegerField(_("attempt"))
    status = models.CharField(_("status"), max_length=10, choices=StepStatus)
    idempotency_key = models.CharField(_("idempotency key"), max_length=64)
    output = models.JSONField(_("output"), default=dict, blank=True)
    error = models.JSONField(_("error"), null=True, blank=True)
    model = models.CharField(_("model"), max_length=120, blank=True)
    tokens = models.PositiveIntegerField(_("tokens"), default=0)
    cost_usd = models.DecimalField(_("cost (USD)"), max_digits=20, decimal_places=10, default=0)
    started_at = models.DateTimeField(_("started at"))
    finished_at = models.DateTimeField(_("finished at"))

    class Meta:
        db_table = "step_runs"
        verbose_name = _("step run")
        verbose_name_plural = _("step runs")
        ordering: ClassVar[list[str]] = ["run", "started_at", "attempt"]
        constraints = [
            models.UniqueConstraint(fields=["run", "path", "attempt"], name="step_attempt_once"),
            # Without the attempt: whatever happens to workers, a step of a run completes once.
            models.UniqueConstraint(
                fields=["run", "path"], condition=models.Q(status="completed"), name="step_completed_once"
            ),
            models.CheckConstraint(
                condition=models.Q(status__in=["completed", "failed", "cancelled", "lost", "skipped"]),
                name="step_status_ended",
            ),
        ]
        indexes = [
            # the roll-up: attempts that ended since the watermark, see workflow_statistics.sql
            models.Index(fields=["finished_at"], name="step_by_end"),
        ]

    def __str__(self) -> str:
        return f"{self.key} #{self.attempt}"

    @property
    def duration_ms(self) -> int:
        """Milliseconds from start to end."""
        return round((self.finished_at - self.started_at).total_seconds() * 1000)
