import uuid

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from gateway_app.models.provider import Provider


class ModelKind(models.TextChoices):
    """What a model makes."""

    CHAT = "chat", _("Chat")
    EMBEDDING = "embedding", _("Embedding")
    IMAGE = "image", _("Image")


class ModelEntry(models.Model):
    """One model of the catalogue. Its price is a dated row of the billing room, found by ``key``.

    ``is_active`` is the operator's switch: the catalogue's own models come switched on, those found at a provider
    switched off until they are priced. Whether a model can be called now also depends on its provider's settings.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    key = models.CharField(_("key"), max_length=120, unique=True)
    name = models.CharField(_("name"), max_length=120)
    # A provider with models is switched off, not deleted: calls name it.
    provider = models.ForeignKey(Provider, on_delete=models.PROTECT, related_name="models", verbose_name=_("provider"))
    upstream_name = models.CharField(_("name at the provider"), max_length=120)
    kind = models.CharField(_("kind"), max_length=10, choices=ModelKind, default=ModelKind.CHAT)
    context_window = models.PositiveIntegerField(_("context window (tokens)"), default=0)
    max_output_tokens = models.PositiveIntegerField(_("most output (tokens)"), default=0)
    is_reasoning = models.BooleanField(
        _("reasoning model"),
        default=False,
        help_text=_("Takes max_completion_tokens in place of max_tokens, and no temperature."),
    )
    is_active = models.BooleanField(_("active"), default=False)
    is_default = models.BooleanField(_("default"), default=False)
    # Set by `sync_models` when the provider's own list names the model.
    listed_at = models.DateTimeField(_("seen at the provider"), null=True, blank=True)
    note = models.CharField(_("note"), max_length=300, blank=True)
    source = models.CharField(_("source"), max_length=300, blank=True)
    source_date = models.DateField(_("date of the source"), null=True, blank=True)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        db_table = "gateway_models"
        verbose_name = _("model")
        verbose_name_plural = _("models")
        ordering = ["kind", "key"]
        constraints = [
            models.CheckConstraint(condition=Q(kind__in=ModelKind.values), name="model_kind_known"),
            # At most one default: the operator's choice when OPENAI_MODEL does not decide.
            models.UniqueConstraint(fields=["is_default"], condition=Q(is_default=True), name="model_one_default"),
        ]

    def __str__(self) -> str:
        return self.key
