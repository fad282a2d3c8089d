"""Prices: which one is in force, and what a call costs by it."""

import re
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal, localcontext
from uuid import UUID

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts_app.exceptions import Conflict, FieldError, InvalidInput, NotFound
from accounts_app.services.audit import audit_record
from billing_app.contracts import ZERO, PriceRef, TokenBuckets
from billing_app.exceptions import KeyConflict, ModelNotPriced
from billing_app.models import Price
from billing_app.services.amounts import amount_checked, amount_rounded

PER_TOKENS = 1_000_000
# As requests name them: a tier of any other shape would never be found.
_TIER = re.compile(r"[^/\s]+/[^/\s]+")


def price_current(*, model_key: str, at: datetime | None = None) -> PriceRef:
    """Return the price of ``model_key`` in force at ``at`` (now by default); raises ModelNotPriced."""
    begun = Price.objects.filter(model_key=model_key, effective_from__lte=at or timezone.now())
    price = begun.order_by("-effective_from").first()
    if price is None:
        raise ModelNotPriced(_("%(model)s has no price in force.") % {"model": model_key})
    return price.ref()


def price_get(*, price_id: UUID) -> PriceRef:
    """Return one version of a price, as it was frozen on a call; raises NotFound."""
    price = Price.objects.filter(pk=price_id).first()
    if price is None:
        raise NotFound
    return price.ref()


def prices_in_force() -> dict[str, PriceRef]:
    """Return every model's price in force now, by model key. One query."""
    begun = Price.objects.filter(effective_from__lte=timezone.now())
    latest = begun.order_by("model_key", "-effective_from").distinct("model_key")
    return {price.model_key: price.ref() for price in latest}


def price_cost(price: PriceRef, tokens: TokenBuckets, images: int = 0, image_tier: str = "") -> Decimal:
    """Return what ``tokens`` and ``images`` cost in USD: exact, rounded half up once, at the end, to ten places.

    ``image_tier`` is "quality/size"; a tier that the price does not name costs its ``per_image``. What has no price at
    all is refused before the call: see `price_images_check`.
    """
    with localcontext(prec=60):
        millionths = (
            price.input * tokens.input
            + price.cached_input * tokens.cached_input
            + price.cache_write * tokens.cache_write
            + price.output * tokens.output
            + price.reasoning * tokens.reasoning
        )
        per_image = price.image_tiers.get(image_tier, price.per_image)
        return amount_rounded(millionths / PER_TOKENS + price.per_request + per_image * images)


def price_images_check(price: PriceRef, *, images: int, image_tier: str) -> None:
    """Refuse images that would cost nothing only because nobody has said what they cost; raises ModelNotPriced.

    So it is where a price names tiers, none of them this one, and has no price for the others. Its detail names the
    field of the request: ``quality``, or ``size`` where another size of this quality has a price.
    """
    tiers = price.image_tiers
    if not images or not tiers or price.per_image or image_tier in tiers:
        return
    quality, _slash, size = image_tier.partition("/")
    field = "size" if any(tier.startswith(f"{quality}/") for tier in tiers) else "quality"
    message = _("%(model)s has no price for images of quality %(quality)s and size %(size)s; it has for %(tiers)s.") % {
        "model": price.model_key,
        "quality": quality,
        "size": size,
        "tiers": ", ".join(sorted(tiers)),
    }
    raise ModelNotPriced(message, details=(FieldError(field, message),))


def image_tiers_checked(given: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """Return ``given``, "quality/size" → USD per image, as it is stored; raises InvalidInput, TypeError for floats."""
    for tier in given:
        if not _TIER.fullmatch(tier):
            raise InvalidInput.for_field("image_tiers", _("A tier is a quality and a size, such as high/1024x1024."))
    return {tier: amount_checked(usd, field=f"image_tiers.{tier}", least=ZERO) for tier, usd in given.items()}


@transaction.atomic
def price_set(
    *,
    model_key: str,
    input: Decimal,  # noqa: A002 - the bucket's name
    output: Decimal,
    effective_from: datetime,
    source: str,
    cached_input: Decimal | None = None,
    cache_write: Decimal | None = None,
    reasoning: Decimal | None = None,
    per_request: Decimal = ZERO,
    per_image: Decimal = ZERO,
    image_tiers: Mapping[str, Decimal] | None = None,
    source_date: date | None = None,
) -> PriceRef:
    """Append the price of ``model_key`` from ``effective_from`` on, in USD per 1,000,000 tokens, request and image.

    Left out, cached input and cache writes cost as much as input, and reasoning as much as output. The same price again
    changes nothing; another one from the same moment raises KeyConflict. Raises InvalidInput for an amount that is none
    and for a tier that is no "quality/size", TypeError for floats.
    """
    if not model_key or not source:
        raise InvalidInput.for_field("source" if model_key else "model_key", _("This field is required."))
    rates = {
        "input": input,
        "cached_input": input if cached_input is None else cached_input,
        "cache_write": input if cache_write is None else cache_write,
        "output": output,
        "reasoning": output if reasoning is None else reasoning,
        "per_request": per_request,
        "per_image": per_image,
    }
    checked = {name: amount_checked(rate, field=name, least=ZERO) for name, rate in rates.items()}
    tiers = {tier: str(usd) for tier, usd in image_tiers_checked(image_tiers or {}).items()}
    price, created = Price.objects.get_or_create(
        model_key=model_key,
        effective_from=effective_from,
        defaults={**checked, "image_tiers": tiers, "source": source, "source_date": source_date},
    )
    if created:
        data = {name: str(rate) for name, rate in checked.items()} | ({"image_tiers": tiers} if tiers else {})
        audit_record(action="price.set", target_type="price", target_id=price.id, data={"model": model_key, **data})
    elif price.image_tiers != tiers or any(getattr(price, name) != rate for name, rate in checked.items()):
        raise KeyConflict(_("This model has another price from the same moment."))
    return price.ref()


@transaction.atomic
def price_withdraw(*, price_id: UUID) -> None:
    """Delete a price that has not begun; raises Conflict for one that has, NotFound for none."""
    price = Price.objects.filter(pk=price_id).first()
    if price is None:
        raise NotFound
    if price.effective_from <= timezone.now():
        raise Conflict(_("A price that has begun stays: add a new one."))
    price.delete()
    data = {"model": price.model_key, "effective_from": price.effective_from.isoformat()}
    audit_record(action="price.withdraw", target_type="price", target_id=price_id, data=data)
