from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts_app.tenancy.models import TenantModel


class Scope(models.TextChoices):
    """What a key opens. Inference: /v1. Read: the REST API's safe methods. Write: its others."""

    INFERENCE = "inference", _("Call models (/v1)")
    READ = "read", _("Read (REST API)")
    WRITE = "write", _("Change things (REST API)")


def every_scope() -> list[str]:
    """Return all scopes, which keys have that were made without a choice."""
    return list(Scope.values)


class ApiKey(TenantModel):
    """A program's way in. Only the SHA-256 of the 256-bit secret is stored; the key is shown once.

    After a rotation the old secret works until ``previous_expires_at``.
    """

    name = models.CharField(_("name"), max_length=80)
    prefix = models.CharField(_("prefix"), max_length=16)
    secret_hash = models.CharField(max_length=64, unique=True)
    previous_hash = models.CharField(max_length=64, unique=True, null=True, blank=True, editable=False)
    previous_expires_at = models.DateTimeField(_("old secret works until"), null=True, blank=True)
    expires_at = models.DateTimeField(_("expires at"), null=True, blank=True)
    revoked_at = models.DateTimeField(_("revoked at"), null=True, blank=True)
    last_used_at = models.DateTimeField(_("last used"), null=True, blank=True)
    # A project with keys is archived, never deleted.
    project = models.ForeignKey(
        "accounts_app.Project",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="api_keys",
        verbose_name=_("project"),
    )
    scopes = ArrayField(models.CharField(max_length=20, choices=Scope), default=every_scope, verbose_name=_("scopes"))
    # Patterns as of a shell, like `gpt-5*`; none means every model.
    models = ArrayField(models.CharField(max_length=120), default=list, blank=True, verbose_name=_("models allowed"))

    class Meta:
        db_table = "api_keys"
        verbose_name = _("API key")
        verbose_name_plural = _("API keys")
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(scopes__contained_by=Scope.values, scopes__len__gt=0), name="api_key_scopes_known"
            ),
            models.CheckConstraint(
                condition=models.Q(previous_hash=None, previous_expires_at=None)
                | models.Q(previous_hash__isnull=False, previous_expires_at__isnull=False),
                name="api_key_previous_expires",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    @property
    def is_usable(self) -> bool:
        """Whether the key opens anything now."""
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > timezone.now())
