import uuid

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from gateway_app.models.model_entry import ModelEntry
from gateway_app.models.provider import Provider


class ModelRoute(models.Model):
    """One way to a model: a provider, and what the model is called there.

    Calls take the route with the lowest priority; among equals, each its share by weight. The others are what a failed
    call falls back to before its first token.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    entry = models.ForeignKey(
        ModelEntry, on_delete=models.CASCADE, related_name="routes", verbose_name=_("model"), db_index=False
    )
    # A provider with models is switched off, not deleted: calls name it.
    provider = models.ForeignKey(Provider, on_delete=models.PROTECT, related_name="routes", verbose_name=_("provider"))
    upstream_name = models.CharField(_("name at the provider"), max_length=120)
    priority = models.PositiveSmallIntegerField(
        _("priority"), null=True, blank=True, help_text=_("The lowest is asked first; empty: the provider's own.")
    )
    weight = models.PositiveIntegerField(
        _("weight"), default=1, help_text=_("The share of calls among routes of the same priority.")
    )
    is_active = models.BooleanField(_("active"), default=True)
    # Set by `sync_models` when the provider's own list names the model.
    listed_at = models.DateTimeField(_("seen at the provider"), null=True, blank=True)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        db_table = "gateway_routes"
        verbose_name = _("route")
        verbose_name_plural = _("routes")
        ordering = ["created_at"]
        constraints = [
            models.UniqueConstraint(fields=["entry", "provider", "upstream_name"], name="route_once"),
            models.CheckConstraint(condition=Q(weight__gt=0), name="route_weight_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.provider} · {self.upstream_name}"

    @property
    def rank(self) -> int:
        """Its priority, or else its provider's."""
        return self.provider.priority if self.priority is None else self.priority
