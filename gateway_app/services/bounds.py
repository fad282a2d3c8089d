"""The most that a call can use and cost: what is held for it."""

from decimal import Decimal

from django.conf import settings

from billing_app.contracts import PriceRef, TokenBuckets
from billing_app.services.prices import price_cost, price_images_check
from gateway_app.contracts import CallRequest
from gateway_app.models import ModelKind
from gateway_app.services.snapshot import ModelSnap

# A free model's call is held for too: a hold is what makes a call exist in the books.
LEAST = Decimal("0.0000000001")


def output_bound(request: CallRequest, model: ModelSnap) -> int:
    """Return the most output tokens to hold for: what the caller allows, within the model's own limit.

    A stream that says nothing gets GATEWAY_MAX_TOKENS, and its hold grows as it is written; an answer that comes all at
    once cannot be stopped halfway, so the model's limit is held.
    """
    if model.kind == ModelKind.EMBEDDING:
        return 0
    units = request.images if model.kind == ModelKind.IMAGE else request.choices
    limit = model.max_output_tokens * units
    if request.max_output is not None:
        return min(request.max_output, limit) if limit else request.max_output
    default = settings.GATEWAY_MAX_TOKENS * units
    return min(default, limit or default) if request.is_stream else limit or default


def input_bound(request: CallRequest, model: ModelSnap) -> int:
    """Return the most input tokens to hold for: a model reads no more than fits its context."""
    return min(request.input_bound, model.context_window or request.input_bound)


def hold_amount(price: PriceRef, request: CallRequest, *, input_tokens: int, max_tokens: int) -> Decimal:
    """Return the price in USD of the most tokens that can be read and written, and of the images asked for.

    Raises ModelNotPriced for images of a tier that the price says nothing of.
    """
    price_images_check(price, images=request.images, image_tier=request.image_tier)
    dearest = "cache_write" if price.cache_write > price.input else "input"
    output = "reasoning" if price.reasoning > price.output else "output"
    bound = TokenBuckets(**{dearest: input_tokens, output: max_tokens})
    return max(price_cost(price, bound, images=request.images, image_tier=request.image_tier), LEAST)
