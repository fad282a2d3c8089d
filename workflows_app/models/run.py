from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts_app.tenancy.models import TenantModel


class RunStatus(models.TextChoices):
    """Pending runs wait for a worker, running ones had one. A claim takes no waiting or paused run."""

    PENDING = "pending", _("Pending")
    RUNNING = "running", _("Running")
    WAITING = "waiting", _("Waiting")
    PAUSED = "paused", _("Paused")
    COMPLETED = "completed", _("Completed")
    FAILED = "failed", _("Failed")
    CANCELLED = "cancelled", _("Cancelled")


FINISHED = (RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED)
RUNNABLE = (RunStatus.PENDING, RunStatus.RUNNING)


class WorkflowRun(TenantModel):
    """One stage of one workflow version being carried out. This table is the queue and the outbox too."""

    config = models.ForeignKey(
        # A run keeps the version that it started with.
        "workflows_app.WorkflowConfig",
        on_delete=models.PROTECT,
        related_name="runs",
        verbose_name=_("workflow version"),
    )
    workspace_key = models.CharField(_("workspace"), max_length=20)
    stage = models.CharField(_("stage"), max_length=32)
    next_stage = models.CharField(_("next stage"), max_length=32, blank=True)
    subject_id = models.UUIDField(_("subject"), null=True, blank=True)
    stream_id = models.UUIDField(_("stream"), null=True, blank=True)
    idempotency_key = models.CharField(_("idempotency key"), max_length=200)
    status = models.CharField(_("status"), max_length=10, choices=RunStatus, default=RunStatus.PENDING)
    steps = models.JSONField(_("steps"))
    cursor = models.PositiveSmallIntegerField(_("cursor"), default=0)
    context = models.JSONField(_("context"), default=dict, blank=True)
    error = models.JSONField(_("error"), null=True, blank=True)
    cost_usd = models.DecimalField(_("cost (USD)"), max_digits=20, decimal_places=10, default=0)
    cancel_requested_at = models.DateTimeField(_("cancel requested at"), null=True, blank=True)

    # Who may write: each claim raises the token, and a worker with an older one changes nothing.
    token = models.PositiveBigIntegerField(_("fencing token"), default=0)
    lease_until = models.DateTimeField(_("lease until"), null=True, blank=True)
    crash_attempts = models.PositiveSmallIntegerField(_("take-overs of this step"), default=0)
    # A message is thought to be on its way since then; NULL: none is.
    dispatched_at = models.DateTimeField(_("dispatched at"), null=True, blank=True)
    dispatches = models.PositiveSmallIntegerField(_("dispatches"), default=0)
    # The end has been told to the stream's readers; until then the run still needs a worker.
    announced_at = models.DateTimeField(_("announced at"), null=True, blank=True)

    event_seq = models.PositiveIntegerField(_("last event"), default=0)
    last_event_id = models.UUIDField(null=True, blank=True)
    trace_id = models.CharField(_("trace id"), max_length=32, blank=True)
    # The starter's: prompts and messages follow it in the worker.
    language = models.CharField(_("language"), max_length=10, blank=True)
    started_at = models.DateTimeField(_("started at"), null=True, blank=True)
    finished_at = models.DateTimeField(_("finished at"), null=True, blank=True)

    class Meta:
        db_table = "workflow_runs"
        verbose_name = _("workflow run")
        verbose_name_plural = _("workflow runs")
        ordering: ClassVar[list[str]] = ["-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["organization", "idempotency_key"], name="run_key_once"),
            models.UniqueConstraint(
                fields=["organization", "subject_id"],
                condition=models.Q(status__in=["pending", "running", "waiting", "paused"]),
                name="run_one_active_per_subject",
            ),
            models.CheckConstraint(condition=models.Q(status__in=RunStatus.values), name="run_status_known"),
            models.CheckConstraint(
                condition=models.Q(status__in=FINISHED, finished_at__isnull=False)
                | (~models.Q(status__in=FINISHED) & models.Q(finished_at__isnull=True)),
                name="run_finished_at_paired",
            ),
            models.CheckConstraint(
                condition=models.Q(status=RunStatus.FAILED, error__isnull=False)
                | (~models.Q(status=RunStatus.FAILED) & models.Q(error__isnull=True)),
                name="run_error_paired",
            ),
        ]
        indexes = [
            # the reaper: SELECT … WHERE announced_at IS NULL … ORDER BY created_at FOR UPDATE SKIP LOCKED
            models.Index(fields=["created_at"], condition=models.Q(announced_at__isnull=True), name="run_unannounced"),
            # a subject's runs, newest first
            models.Index(fields=["organization", "subject_id", "-created_at"], name="run_by_subject"),
            # the trace page: the runs that one request started
            models.Index(fields=["trace_id"], name="run_by_trace"),
        ]

    def __str__(self) -> str:
        return f"{self.workspace_key} {self.stage} {self.id}"

    @property
    def is_finished(self) -> bool:
        """Whether the run reached its end."""
        return self.status in FINISHED
