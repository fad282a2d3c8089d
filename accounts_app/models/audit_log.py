import uuid

from django.db import models
from django.utils.translation import gettext_lazy as _


class AuditLog(models.Model):
    """Who did what to which thing. Append-only; rows without organization are the operators' own."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organization = models.ForeignKey(
        "accounts_app.Organization",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
    )
    # No foreign key: the row outlives the user, and a key in the way of SET NULL would be an UPDATE.
    user_id = models.UUIDField(_("user"), null=True, blank=True)
    operator = models.CharField(_("operator context"), max_length=80, blank=True)
    action = models.CharField(_("action"), max_length=80)
    target_type = models.CharField(_("target type"), max_length=60, blank=True)
    target_id = models.CharField(_("target"), max_length=64, blank=True)
    data = models.JSONField(_("data"), default=dict, blank=True)
    trace_id = models.CharField(_("trace id"), max_length=32, blank=True)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        db_table = "audit_logs"
        verbose_name = _("audit log entry")
        verbose_name_plural = _("audit log")
        ordering = ["-created_at", "-id"]
        indexes = [
            # the organization's own log page, newest first
            models.Index(fields=["organization", "-created_at"], name="audit_by_organization"),
            # everything that one request caused
            models.Index(fields=["trace_id"], name="audit_by_trace"),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.target_type} {self.target_id}"
