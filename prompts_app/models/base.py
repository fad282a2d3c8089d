"""What several tables of this room have in common."""

import uuid
from decimal import Decimal

from django.db import models
from django.utils.translation import gettext_lazy as _


class SharedModel(models.Model):
    """A row of one organization, or of nobody: then it is initial data that everyone reads and only operators write."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organization = models.ForeignKey(
        "accounts_app.Organization", on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    # The creator may leave while the organization keeps the row.
    user = models.ForeignKey("accounts_app.User", on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        abstract = True

    @property
    def is_shared(self) -> bool:
        """Whether this is initial data, which an organization copies before it changes it."""
        return self.organization_id is None


class RunStatus(models.TextChoices):
    """How a model call of this room ended. Stopped: the caller left in the middle, and what had come is kept."""

    COMPLETED = "completed", _("Completed")
    STOPPED = "stopped", _("Stopped")
    FAILED = "failed", _("Failed")


class CallRecord(models.Model):
    """What every model call of this room leaves behind: how it ended, and what it took.

    Tokens are disjoint buckets as billing counts them. ``call_id`` is the gateway's call; ``task_id`` and ``run_id``
    are a task and a workflow run of the rooms above, hence no foreign keys.
    """

    operation_key = models.CharField(_("operation key"), max_length=200)
    status = models.CharField(_("status"), max_length=10, choices=RunStatus)
    model = models.CharField(_("model"), max_length=120, blank=True)
    input_tokens = models.PositiveIntegerField(_("input tokens"), default=0)
    cached_input_tokens = models.PositiveIntegerField(_("cached input tokens"), default=0)
    cache_write_tokens = models.PositiveIntegerField(_("cache write tokens"), default=0)
    output_tokens = models.PositiveIntegerField(_("output tokens"), default=0)
    reasoning_tokens = models.PositiveIntegerField(_("reasoning tokens"), default=0)
    cost_usd = models.DecimalField(_("cost (USD)"), max_digits=20, decimal_places=10, default=Decimal(0))
    latency_ms = models.PositiveIntegerField(_("latency (ms)"), default=0)
    ending = models.CharField(_("ending"), max_length=40, blank=True)
    finish_reason = models.CharField(_("finish reason"), max_length=40, blank=True)
    error_code = models.CharField(_("error code"), max_length=60, blank=True)
    call_id = models.UUIDField(_("call"), null=True, blank=True)
    task_id = models.UUIDField(_("task"), null=True, blank=True)
    run_id = models.UUIDField(_("workflow run"), null=True, blank=True)
    step_key = models.CharField(_("step"), max_length=120, blank=True)
    trace_id = models.CharField(_("trace id"), max_length=32, blank=True)

    class Meta:
        abstract = True

    @property
    def total_tokens(self) -> int:
        """All tokens of the call, read and written."""
        return (
            self.input_tokens
            + self.cached_input_tokens
            + self.cache_write_tokens
            + self.output_tokens
            + self.reasoning_tokens
        )
