import uuid

from django.core.validators import URLValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class ProviderKind(models.TextChoices):
    """What answers. Remote: a paid endpoint. Local: the tiny model on this machine, which pages must call tiny."""

    REMOTE = "remote", _("Remote endpoint")
    LOCAL = "local", _("Local model")


class Provider(models.Model):
    """An OpenAI-compatible endpoint. Of no tenant: everyone calls the same ones.

    A secret is never stored: ``api_key_setting`` names the setting that holds it. ``base_url_setting`` names one whose
    value, when set, takes the place of ``base_url``. The four time limits are in ms.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    key = models.SlugField(_("key"), max_length=60, unique=True)
    name = models.CharField(_("name"), max_length=80)
    kind = models.CharField(_("kind"), max_length=10, choices=ProviderKind, default=ProviderKind.REMOTE)
    base_url = models.CharField(_("base URL"), max_length=300, blank=True, validators=[URLValidator(["http", "https"])])
    base_url_setting = models.CharField(_("setting with the base URL"), max_length=60, blank=True)
    api_key_setting = models.CharField(_("setting with the API key"), max_length=60, blank=True)
    is_active = models.BooleanField(_("active"), default=True)
    priority = models.PositiveSmallIntegerField(_("priority"), default=100, help_text=_("The lowest is asked first."))
    connect_timeout_ms = models.PositiveIntegerField(_("connect within (ms)"), default=5_000)
    first_token_timeout_ms = models.PositiveIntegerField(_("first token within (ms)"), default=60_000)
    between_tokens_timeout_ms = models.PositiveIntegerField(_("silence between tokens up to (ms)"), default=30_000)
    total_timeout_ms = models.PositiveIntegerField(_("whole call within (ms)"), default=600_000)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        db_table = "gateway_providers"
        verbose_name = _("provider")
        verbose_name_plural = _("providers")
        ordering = ["priority", "key"]
        constraints = [
            models.CheckConstraint(condition=Q(kind__in=ProviderKind.values), name="provider_kind_known"),
            models.CheckConstraint(
                condition=Q(
                    connect_timeout_ms__gt=0,
                    first_token_timeout_ms__gt=0,
                    between_tokens_timeout_ms__gt=0,
                    total_timeout_ms__gt=0,
                ),
                name="provider_timeouts_positive",
            ),
        ]

    def __str__(self) -> str:
        return self.name
