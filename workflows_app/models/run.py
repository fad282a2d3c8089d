from datetime import datetime
from typing import Any, ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts_app.ids import uuid7
from accounts_app.tenancy.models import TenantIndexedModel
from workflows_app.contracts import StepSpec


class RunStatus(models.TextChoices):
    """Pending runs want a worker, running ones have one, waiting ones want something else to happen first."""

    PENDING = "pending", _("Pending")
    RUNNING = "running", _("Running")
    WAITING = "waiting", _("Waiting")
    PAUSED = "paused", _("Paused")
    COMPLETED = "completed", _("Completed")
    FAILED = "failed", _("Failed")
    CANCELLED = "cancelled", _("Cancelled")


FINISHED = (RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED)
UNFINISHED = (RunStatus.PENDING, RunStatus.RUNNING, RunStatus.WAITING, RunStatus.PAUSED)


class RunScope(models.TextChoices):
    """How far a run goes: one stage (a task's advance, a branch), or stage after stage to the workflow's end."""

    STAGE = "stage", _("One stage")
    WORKFLOW = "workflow", _("The whole workflow")


class WorkflowRun(TenantIndexedModel):
    """One execution of a workflow version. What it is in is a fold of its events; this row is the newest result,
    the queue of the workers, and the outbox. The id begins with the time, so that a run's month is known by it.
    """

    _specs: tuple[Any, tuple[StepSpec, ...]] | None = None

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    # A row is written some times in its life, and each time in each index: what the indexes below begin with has none
    # of its own.
    config = models.ForeignKey(
        # A run keeps the version that it started with.
        "workflows_app.WorkflowConfig",
        on_delete=models.PROTECT,
        related_name="runs",
        verbose_name=_("workflow version"),
        db_index=False,
    )
    workspace_key = models.CharField(_("workspace"), max_length=20)
    scope = models.CharField(_("scope"), max_length=10, choices=RunScope, default=RunScope.STAGE)
    subject_id = models.UUIDField(_("subject"), null=True, blank=True)
    stream_id = models.UUIDField(_("stream"), null=True, blank=True)
    idempotency_key = models.CharField(_("idempotency key"), max_length=200)
    fingerprint = models.CharField(_("fingerprint of the start"), max_length=64, blank=True)
    priority = models.SmallIntegerField(_("priority"), default=0)

    # The fold of the events, see workflows_app.engine.state.
    status = models.CharField(_("status"), max_length=10, choices=RunStatus, default=RunStatus.PENDING)
    stage = models.CharField(_("stage"), max_length=32)
    next_stage = models.CharField(_("next stage"), max_length=32, blank=True)
    steps = models.JSONField(_("steps"))
    cursor = models.PositiveSmallIntegerField(_("cursor"), default=0)
    visits = models.JSONField(_("visits of stages"), default=dict, blank=True)
    attempt = models.PositiveSmallIntegerField(_("attempt under way"), default=0)
    attempts_made = models.PositiveSmallIntegerField(_("attempts at this step"), default=0)
    failures = models.PositiveSmallIntegerField(_("failures of this step"), default=0)
    on_fallback = models.BooleanField(_("on the fallback model"), default=False)
    steps_done = models.PositiveIntegerField(_("attempts in all"), default=0)
    context = models.JSONField(_("context"), default=dict, blank=True)
    wait = models.JSONField(_("waits for"), null=True, blank=True)
    signals = models.JSONField(_("signals not yet asked for"), default=list, blank=True)
    error = models.JSONField(_("error"), null=True, blank=True)
    cost_usd = models.DecimalField(_("cost (USD)"), max_digits=20, decimal_places=10, default=0)
    event_seq = models.PositiveIntegerField(_("last event"), default=0)
    last_event_id = models.UUIDField(null=True, blank=True)

    # What a person asked for; the worker, or whoever holds the row, makes it so.
    cancel_requested_at = models.DateTimeField(_("cancel requested at"), null=True, blank=True)
    pause_requested_at = models.DateTimeField(_("pause requested at"), null=True, blank=True)

    # Who may write: each claim raises the token, and a worker with an older one changes nothing.
    token = models.PositiveBigIntegerField(_("fencing token"), default=0)
    lease_until = models.DateTimeField(_("lease until"), null=True, blank=True)
    worker = models.CharField(_("worker"), max_length=120, blank=True)
    crash_attempts = models.PositiveSmallIntegerField(_("take-overs of this step"), default=0)
    # The queue: ready runs are claimed by priority, then rank; the rank is the fair share, see workflow_claim.sql.
    is_ready = models.BooleanField(_("wants a worker"), default=True)
    queue_rank = models.BigIntegerField(_("place in the queue"), default=0)
    # When a waiting run goes on by itself, and when an unfinished one has had its time.
    due_at = models.DateTimeField(_("due at"), null=True, blank=True)
    deadline_at = models.DateTimeField(_("deadline"), null=True, blank=True)
    # The end has been told to the stream's readers; until then the run still needs a worker.
    announced_at = models.DateTimeField(_("announced at"), null=True, blank=True)

    # A branch of a parallel stage, or a workflow that a step started.
    parent = models.ForeignKey(
        "self",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="children",
        verbose_name=_("parent"),
        db_index=False,
    )
    branch = models.PositiveSmallIntegerField(_("branch"), null=True, blank=True)
    # A replay shares the history of its origin up to that event.
    origin = models.ForeignKey(
        "self",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="replays",
        verbose_name=_("origin"),
        db_index=False,
    )
    origin_seq = models.PositiveIntegerField(_("shared events"), null=True, blank=True)

    trace_id = models.CharField(_("trace id"), max_length=32, blank=True)
    # The starter's: prompts and messages follow it in the worker.
    language = models.CharField(_("language"), max_length=10, blank=True)
    started_at = models.DateTimeField(_("started at"), null=True, blank=True)
    step_started_at = models.DateTimeField(_("attempt started at"), null=True, blank=True)
    finished_at = models.DateTimeField(_("finished at"), null=True, blank=True)

    class Meta:
        db_table = "workflow_runs"
        verbose_name = _("workflow run")
        verbose_name_plural = _("workflow runs")
        ordering: ClassVar[list[str]] = ["-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["organization", "idempotency_key"], name="run_key_once"),
            # what its events and steps refer to
            models.UniqueConstraint(fields=["id", "organization"], name="run_of_organization"),
            models.UniqueConstraint(
                fields=["organization", "subject_id"],
                condition=models.Q(status__in=["pending", "running", "waiting", "paused"], parent__isnull=True),
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
            models.CheckConstraint(
                condition=~models.Q(status=RunStatus.WAITING) | models.Q(wait__isnull=False), name="run_wait_paired"
            ),
            # A held run is nobody's to take, a paused one neither.
            models.CheckConstraint(
                condition=models.Q(is_ready=False) | (models.Q(lease_until__isnull=True) & ~models.Q(status="paused")),
                name="run_ready_is_free",
            ),
        ]
        indexes = [
            # the claim: SELECT … WHERE is_ready ORDER BY priority DESC, queue_rank LIMIT 1 FOR UPDATE SKIP LOCKED
            models.Index(
                models.F("priority").desc(), "queue_rank", condition=models.Q(is_ready=True), name="run_ready"
            ),
            # an organization's place in the queue: SELECT max(queue_rank) … WHERE organization_id = … AND is_ready
            models.Index(
                fields=["organization", "queue_rank"], condition=models.Q(is_ready=True), name="run_ready_own"
            ),
            # the reaper: leases that ran out
            models.Index(fields=["lease_until"], condition=models.Q(lease_until__isnull=False), name="run_leased"),
            # the reaper: timers that are due
            models.Index(fields=["due_at"], condition=models.Q(due_at__isnull=False), name="run_due"),
            # the reaper: unfinished runs that have had their time
            models.Index(
                fields=["deadline_at"],
                condition=models.Q(deadline_at__isnull=False, finished_at__isnull=True),
                name="run_deadline",
            ),
            # a subject's runs, newest first
            models.Index(
                fields=["organization", "subject_id", "-created_at"],
                condition=models.Q(subject_id__isnull=False),
                name="run_by_subject",
            ),
            # a run's children, and its replays: most have none
            models.Index(fields=["parent"], condition=models.Q(parent__isnull=False), name="run_by_parent"),
            models.Index(fields=["origin"], condition=models.Q(origin__isnull=False), name="run_by_origin"),
            # the list of executions, newest first, all or of one status or template
            models.Index(fields=["organization", "-created_at", "-id"], name="run_by_age"),
            # by status first: operators count the unfinished runs of all organizations by it too
            models.Index(fields=["status", "organization", "-created_at", "-id"], name="run_of_status"),
            # by version first: whether one was ever used is asked for all organizations
            models.Index(fields=["config", "organization", "-created_at", "-id"], name="run_by_config"),
            # the trace page: the runs that one request started
            models.Index(fields=["trace_id"], name="run_by_trace"),
        ]

    def __str__(self) -> str:
        return f"{self.workspace_key} {self.stage} {self.id}"

    @property
    def is_finished(self) -> bool:
        """Whether the run reached its end."""
        return self.status in FINISHED

    @property
    def specs(self) -> tuple[StepSpec, ...]:
        """The steps, read once for as long as they are the same list."""
        if self._specs is None or self._specs[0] is not self.steps:
            self._specs = (self.steps, tuple(StepSpec.from_json(step) for step in self.steps))
        return self._specs[1]

    def is_due(self, now: datetime) -> bool:
        """Whether what the run waits for is a moment that has come."""
        return self.due_at is not None and self.due_at <= now
