from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts_app.tenancy.models import TenantModel


class ApiKey(TenantModel):
    """A program's way in. Only the SHA-256 of the 256-bit secret is stored; the key is shown once."""

    name = models.CharField(_("name"), max_length=80)
    prefix = models.CharField(_("prefix"), max_length=16)
    secret_hash = models.CharField(max_length=64, unique=True)
    expires_at = models.DateTimeField(_("expires at"), null=True, blank=True)
    revoked_at = models.DateTimeField(_("revoked at"), null=True, blank=True)
    last_used_at = models.DateTimeField(_("last used"), null=True, blank=True)

    class Meta:
        db_table = "api_keys"
        verbose_name = _("API key")
        verbose_name_plural = _("API keys")
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    @property
    def is_usable(self) -> bool:
        """Whether the key opens anything now."""
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > timezone.now())
