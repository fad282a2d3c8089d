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


class StepRun(TenantModel):
    """One attempt at one step of a run."""

    run = models.ForeignKey("workflows_app.WorkflowRun", on_delete=models.PROTECT, related_name="step_runs")
    key = models.CharField(_("key"), max_length=60)
    position = models.PositiveSmallIntegerField(_("position"))
    action = models.CharField(_("action"), max_length=40)
    via = models.CharField(_("via"), max_length=60, blank=True)
    attempt = models.PositiveSmallIntegerField(_("attempt"))
    status = models.CharField(_("status"), max_length=10, choices=StepStatus, default=StepStatus.RUNNING)
    idempotency_key = models.CharField(_("idempotency key"), max_length=64)
    output = models.JSONField(_("output"), default=dict, blank=True)
    error = models.JSONField(_("error"), null=True, blank=True)
    model = models.CharField(_("model"), max_length=120, blank=True)
    tokens = models.PositiveIntegerField(_("tokens"), default=0)
    cost_usd = models.DecimalField(_("cost (USD)"), max_digits=20, decimal_places=10, default=0)
    started_at = models.DateTimeField(_("started at"))
    finished_at = models.DateTimeField(_("finished at"), null=True, blank=True)

    class Meta:
        db_table = "step_runs"
        verbose_name = _("step run")
        verbose_name_plural = _("step runs")
        ordering: ClassVar[list[str]] = ["run", "position", "attempt"]
        constraints = [
            models.UniqueConstraint(fields=["run", "key", "attempt"], name="step_attempt_once"),
            # Without the attempt: whatever happens to workers, a step of a run completes once.
            models.UniqueConstraint(
                fields=["run", "key"], condition=models.Q(status="completed"), name="step_completed_once"
            ),
            models.UniqueConstraint(fields=["run"], condition=models.Q(status="running"), name="step_one_running"),
            models.CheckConstraint(condition=models.Q(status__in=StepStatus.values), name="step_status_known"),
            models.CheckConstraint(
                condition=models.Q(status="running", finished_at__isnull=True)
                | (~models.Q(status="running") & models.Q(finished_at__isnull=False)),
                name="step_finished_at_paired",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.key} #{self.attempt}"

    @property
    def duration_ms(self) -> int | None:
        """Milliseconds from start to end; None while it runs."""
        if self.finished_at is None:
            return None
        return round((self.finished_at - self.started_at).total_seconds() * 1000)
