from decimal import Decimal
from typing import Any

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts_app.tenancy.models import TenantIndexedModel


class TaskStatus(models.TextChoices):
    """Where a task stands. Only an active task can be advanced.

    A failed advance leaves the task active, so that the step can be repeated; failed means that the engine
    gave a run up for good. Archived tasks keep everything and can be taken back.
    """

    ACTIVE = "active", _("Active")
    COMPLETED = "completed", _("Completed")
    FAILED = "failed", _("Failed")
    ARCHIVED = "archived", _("Archived")


class Task(TenantIndexedModel):
    """What a person wants, and how far it has come."""

    workspace_key = models.CharField(_("workspace"), max_length=20)
    title = models.CharField(_("title"), max_length=200)
    input_text = models.TextField(_("input"))
    status = models.CharField(_("status"), max_length=10, choices=TaskStatus, default=TaskStatus.ACTIVE)
    # The stage that Advance runs. After the last one it stays there, and finished_stage says that it is done.
    current_stage = models.CharField(_("current stage"), max_length=64, blank=True)
    finished_stage = models.CharField(_("last finished stage"), max_length=64, blank=True)
    prompt_id = models.UUIDField(_("prompt"), null=True, blank=True)
    # What the next run is given: brief, original, text, findings, title, language.
    metadata = models.JSONField(_("context"), default=dict, blank=True)

    # What the task's model calls were charged, in USD and tokens; input includes cached, output includes reasoning.
    cost_usd = models.DecimalField(_("cost (USD)"), max_digits=20, decimal_places=10, default=Decimal(0))
    input_tokens = models.BigIntegerField(_("input tokens"), default=0)
    output_tokens = models.BigIntegerField(_("output tokens"), default=0)
    # The part of these totals that no event bears yet; the next event takes it.
    pending_cost_usd = models.DecimalField(max_digits=20, decimal_places=10, default=Decimal(0))
    pending_input_tokens = models.BigIntegerField(default=0)
    pending_output_tokens = models.BigIntegerField(default=0)
    model = models.CharField(_("last model"), max_length=120, blank=True)

    active_run_id = models.UUIDField(_("running run"), null=True, blank=True)
    active_stream_id = models.UUIDField(_("running stream"), null=True, blank=True)
    active_action = models.CharField(_("running action"), max_length=10, blank=True)
    active_stage = models.CharField(_("running stage"), max_length=64, blank=True)
    last_stream_id = models.UUIDField(_("last stream"), null=True, blank=True)
    last_error = models.JSONField(_("last error"), null=True, blank=True)

    stages_count = models.PositiveIntegerField(_("stages run"), default=0)
    events_count = models.PositiveIntegerField(_("events"), default=0)
    last_event_id = models.UUIDField(null=True, blank=True)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)

    class Meta:
        db_table = "tasks"
        verbose_name = _("task")
        verbose_name_plural = _("tasks")
        ordering = ["-created_at", "-id"]
        constraints = [
            models.CheckConstraint(condition=Q(status__in=TaskStatus.values), name="task_status_known"),
            models.CheckConstraint(
                condition=Q(active_run_id=None, active_stream_id=None, active_action="", active_stage="")
                | (Q(active_run_id__isnull=False, active_stream_id__isnull=False) & ~Q(active_action="")),
                name="task_running_fields_together",
            ),
            models.CheckConstraint(
                condition=Q(active_run_id=None) | Q(status=TaskStatus.ACTIVE), name="task_only_active_runs"
            ),
            models.CheckConstraint(
                condition=Q(cost_usd__gte=0, pending_cost_usd__gte=0, input_tokens__gte=0, output_tokens__gte=0),
                name="task_totals_not_negative",
            ),
        ]
        indexes = [
            # the list and the dashboard, newest first: WHERE organization_id = ? [AND (created_at, id) < (?, ?)]
            models.Index(fields=["organization", "-created_at", "-id"], name="task_newest"),
            # the same list with ?status=
            models.Index(fields=["organization", "status", "-created_at", "-id"], name="task_newest_by_status"),
            # the same list with ?workspace=
            models.Index(
                fields=["organization", "workspace_key", "-created_at", "-id"], name="task_newest_by_workspace"
            ),
            # the side bar of a prompt, and the last task of each prompt in the prompt list
            models.Index(
                fields=["organization", "prompt_id", "-updated_at"],
                condition=Q(prompt_id__isnull=False),
                name="task_of_prompt",
            ),
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def is_open(self) -> bool:
        """Whether the task can be advanced at all."""
        return self.status in (TaskStatus.ACTIVE, TaskStatus.FAILED)

    @property
    def is_running(self) -> bool:
        """Whether a run of this task is under way."""
        return self.active_run_id is not None

    @property
    def text(self) -> str:
        """The text as it stands: the last run's, or the one that was given, or ''."""
        return str(self.metadata.get("text") or "")

    @property
    def findings(self) -> list[dict[str, Any]]:
        """What the last review of the text found, also when a rewriting has answered it since."""
        return list(self.metadata.get("last_review") or self.metadata.get("findings") or [])

    @property
    def total_tokens(self) -> int:
        """All tokens of the task's model calls."""
        return self.input_tokens + self.output_tokens
