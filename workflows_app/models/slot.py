from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts_app.tenancy.models import TenantIndexedModel


class WorkflowSlot(TenantIndexedModel):
    """A run's hold on a concurrency key: so many at a time, the others wait. Taken and freed by workflow_slots.sql."""

    key = models.CharField(_("concurrency key"), max_length=200)
    run = models.ForeignKey("workflows_app.WorkflowRun", on_delete=models.CASCADE, related_name="slots")

    class Meta:
        db_table = "workflow_slots"
        verbose_name = _("concurrency slot")
        verbose_name_plural = _("concurrency slots")
        ordering: ClassVar[list[str]] = ["key", "created_at"]
        constraints = [models.UniqueConstraint(fields=["organization", "key", "run"], name="slot_once_a_run")]

    def __str__(self) -> str:
        return self.key
