import uuid
from decimal import Decimal

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from billing_app.contracts import PriceRef


class Price(models.Model):
    """A model's price from a moment on, until the next row of the same model begins: rows cannot overlap.

    USD per 1,000,000 tokens of each disjoint bucket. Of no tenant: everyone sees the same prices. A trigger refuses
    changes, because usage records point here: a new price is a new row, and only one not yet begun can be deleted.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    model_key = models.CharField(_("model"), max_length=120)
    effective_from = models.DateTimeField(_("effective from"))
    input = models.DecimalField(_("input (USD per 1M tokens)"), max_digits=20, decimal_places=10)
    cached_input = models.DecimalField(_("cached input (USD per 1M tokens)"), max_digits=20, decimal_places=10)
    cache_write = models.DecimalField(_("cache write (USD per 1M tokens)"), max_digits=20, decimal_places=10)
    output = models.DecimalField(_("output (USD per 1M tokens)"), max_digits=20, decimal_places=10)
    reasoning = models.DecimalField(_("reasoning (USD per 1M tokens)"), max_digits=20, decimal_places=10)
    per_request = models.DecimalField(_("per request (USD)"), max_digits=20, decimal_places=10, default=Decimal(0))
    per_image = models.DecimalField(_("per image (USD)"), max_digits=20, decimal_places=10, default=Decimal(0))
    # "quality/size" → USD per image, as text; an image that no tier names costs `per_image`, is refused if that is 0.
    image_tiers = models.JSONField(_("image tiers"), default=dict, blank=True)
    source = models.CharField(_("source"), max_length=300)
    source_date = models.DateField(_("date of the source"), null=True, blank=True)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        db_table = "prices"
        verbose_name = _("price")
        verbose_name_plural = _("prices")
        ordering = ["model_key", "-effective_from"]
        constraints = [
            # Also the index that finds the price in force.
            models.UniqueConstraint(fields=["model_key", "effective_from"], name="price_once_from_a_moment"),
            models.CheckConstraint(
                condition=Q(
                    input__gte=0, cached_input__gte=0, cache_write__gte=0, output__gte=0, reasoning__gte=0,
                    per_request__gte=0, per_image__gte=0,
                ),
                name="price_not_negative",
            ),
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"{self.model_key} · {self.effective_from:%Y-%m-%d %H:%M}"

    def ref(self) -> PriceRef:
        """Return this version as other rooms carry it through a call."""
        return PriceRef(
            id=self.id,
            model_key=self.model_key,
            input=self.input,
            cached_input=self.cached_input,
            cache_write=self.cache_write,
            output=self.output,
            reasoning=self.reasoning,
            per_request=self.per_request,
            per_image=self.per_image,
            image_tiers={tier: Decimal(usd) for tier, usd in self.image_tiers.items()},
            effective_from=self.effective_from,
        )
