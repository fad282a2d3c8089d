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

    Its API key is in the setting that ``api_key_setting`` names, or here, encrypted
    (`gateway_app.services.secrets`). ``base_url_setting`` names a setting whose value, when set, takes the place of
    ``base_url``. The four time limits are in ms.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    key = models.SlugField(_("key"), max_length=60, unique=True)
    name = models.CharField(_("name"), max_length=80)
    kind = models.CharField(_("kind"), max_length=10, choices=ProviderKind, default=ProviderKind.REMOTE)
    base_url = models.CharField(_("base URL"), max_length=300, blank=True, validators=[URLValidator(["http", "https"])])
    base_url_setting = models.CharField(
        _("setting with the base URL"),
        max_length=60,
        blank=True,
        help_text=_("When the setting of this name has a value, it takes the place of the base URL."),
    )
    api_key_setting = models.CharField(
        _("setting with the API key"),
        max_length=60,
        blank=True,
        help_text=_("When the setting of this name has a value, it takes the place of the stored key."),
    )
    # Fernet's token, never the key itself; the hint is its last four characters, for people who compare.
    credential = models.TextField(_("stored API key, encrypted"), blank=True, editable=False)
    credential_hint = models.CharField(_("stored API key"), max_length=8, blank=True, editable=False)
    is_active = models.BooleanField(_("active"), default=True)
    priority = models.PositiveSmallIntegerField(_("priority"), default=100, help_text=_("The lowest is asked first."))
    max_concurrency = models.PositiveIntegerField(
        _("calls at once"),
        default=0,
        help_text=_("How many calls each web process sends to it at the same time; 0: as many as there are."),
    )
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
            # Every token of Fernet's begins like this: a key in clear text can never be kept by mistake.
            models.CheckConstraint(
                condition=Q(credential="") | Q(credential__startswith="gAAAA"), name="provider_credential_encrypted"
            ),
        ]

    def __str__(self) -> str:
        return self.name
