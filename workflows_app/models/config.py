import uuid

from django.db import models
from django.utils.translation import gettext_lazy as _


class ConfigStatus(models.TextChoices):
    """A draft may change and cannot run. A published version never changes again: runs rely on it.

    Of a published one only its use changes: inactive ones are not started any more, active ones are again.
    """

    DRAFT = "draft", _("Draft")
    PUBLISHED = "published", _("Published")
    ACTIVE = "active", _("Active")
    INACTIVE = "inactive", _("Inactive")


STARTABLE = (ConfigStatus.PUBLISHED, ConfigStatus.ACTIVE)


class WorkflowConfig(models.Model):
    """One version of a workflow (a template). Without organization it is shared initial data."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # An organization with books cannot be deleted by accident.
    organization = models.ForeignKey(
        "accounts_app.Organization",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
    )
    # Workspaces are few and permanent; they are switched off, never removed.
    workspace = models.ForeignKey(
        "workflows_app.Workspace",
        to_field="key",
        db_column="workspace_key",
        on_delete=models.PROTECT,
        related_name="configs",
        verbose_name=_("workspace"),
    )
    version = models.CharField(_("version"), max_length=20)
    name = models.CharField(_("name"), max_length=120)
    is_default = models.BooleanField(_("default"), default=False)
    status = models.CharField(_("status"), max_length=10, choices=ConfigStatus, default=ConfigStatus.DRAFT)
    description = models.CharField(_("description"), max_length=1000, blank=True)
    notes = models.TextField(_("notes"), blank=True)
    config = models.JSONField(_("document"))
    # The author may leave while the version stays.
    created_by = models.ForeignKey(
        "accounts_app.User", on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)
    published_at = models.DateTimeField(_("published at"), null=True, blank=True)

    class Meta:
        db_table = "workflow_configs"
        verbose_name = _("workflow version")
        verbose_name_plural = _("workflow versions")
        ordering = ["-created_at", "-id"]
        constraints = [
            # What an execution names: name@version.
            models.UniqueConstraint(
                fields=["organization", "name", "version"], nulls_distinct=False, name="config_name_version_once"
            ),
            models.UniqueConstraint(
                fields=["organization", "workspace"],
                condition=models.Q(is_default=True),
                nulls_distinct=False,
                name="config_one_default",
            ),
            models.CheckConstraint(
                condition=models.Q(is_default=False) | models.Q(status__in=STARTABLE),
                name="config_default_is_published",
            ),
            models.CheckConstraint(
                condition=models.Q(status=ConfigStatus.DRAFT, published_at__isnull=True)
                | models.Q(status__in=(*STARTABLE, ConfigStatus.INACTIVE), published_at__isnull=False),
                name="config_published_at_paired",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.workspace_id} {self.version}"
