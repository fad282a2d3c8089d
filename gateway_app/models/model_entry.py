import uuid

from django.contrib.postgres.fields import ArrayField
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

# What stands after /v1/: "audio/speech", without a leading slash, dots or parameters.
PATH = RegexValidator(r"^[a-z0-9_-]+(/[a-z0-9_-]+)*\Z", _("A path below /v1, such as audio/speech."))


class ModelKind(models.TextChoices):
    """What a model makes. Other: reached only by its own paths, each call at the price per request."""

    CHAT = "chat", _("Chat")
    EMBEDDING = "embedding", _("Embedding")
    IMAGE = "image", _("Image")
    OTHER = "other", _("Other")


class ModelEntry(models.Model):
    """One model of the catalogue. Its price is a dated row of the billing room, found by ``key``; who serves it, its
    routes (`ModelRoute`).

    ``is_active`` is the operator's switch: the catalogue's own models come switched on, those found at a provider
    switched off until they are priced. Whether a model can be called now also depends on its providers' settings.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    key = models.CharField(_("key"), max_length=120, unique=True)
    name = models.CharField(_("name"), max_length=120)
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
    # A deleted fallback leaves its model without one, and a hard budget then refuses.
    fallback = models.ForeignKey(
        "self",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("cheaper model"),
        help_text=_("Takes the call in its place when a budget or the wallet has too little left for this model."),
    )
    paths = ArrayField(
        models.CharField(max_length=120, validators=[PATH]),
        verbose_name=_("further paths"),
        default=list,
        blank=True,
        help_text=_(
            "Paths below /v1 that reach this model beside those of its kind, separated by commas, such as "
            "audio/speech. Each call costs the model's price per request."
        ),
    )
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
            models.CheckConstraint(
                condition=Q(fallback__isnull=True) | ~Q(fallback=F("id")), name="model_fallback_is_another"
            ),
        ]

    def __str__(self) -> str:
        return self.key
