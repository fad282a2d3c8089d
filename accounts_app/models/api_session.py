from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts_app.tenancy.models import TenantModel


class ApiSession(TenantModel):
    """A person's sign-in through the REST API: one row for a chain of refresh tokens, of which the last one works.

    ``refresh_id`` is that token's id. An older token that comes again was stolen, or its successor was: the chain ends.
    """

    refresh_id = models.CharField(max_length=32)
    expires_at = models.DateTimeField(_("expires at"))
    refreshed_at = models.DateTimeField(_("refreshed at"))
    revoked_at = models.DateTimeField(_("revoked at"), null=True, blank=True)

    class Meta:
        db_table = "api_sessions"
        verbose_name = _("API sign-in")
        verbose_name_plural = _("API sign-ins")
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return str(self.pk)
