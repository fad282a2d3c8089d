"""How a call's cost follows from its tokens and its price, line by line."""

from dataclasses import dataclass
from decimal import Decimal, localcontext

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from billing_app.contracts import ZERO
from billing_app.models import UsageRecord
from billing_app.services.prices import PER_TOKENS


@dataclass(frozen=True)
class CostLine:
    """``count`` × ``rate`` = ``usd``; ``per`` says how many of the counted the rate is for (0: no arithmetic)."""

    label: str | Promise
    count: int
    rate: Decimal
    per: int
    usd: Decimal


def cost_lines(record: UsageRecord) -> list[CostLine]:
    """Return the lines that add up to the record's cost. What is neither of tokens nor of the request comes last."""
    price = record.price
    buckets = [
        (_("Input, not cached"), record.uncached_input_tokens, price.input),
        (_("Input from the cache"), record.cached_input_tokens, price.cached_input),
        (_("Written to the cache"), record.cache_write_tokens, price.cache_write),
        (_("Output"), record.visible_output_tokens, price.output),
        (_("Reasoning"), record.reasoning_tokens, price.reasoning),
    ]
    with localcontext(prec=60):
        lines = [
            CostLine(label, count, rate, PER_TOKENS, count * rate / PER_TOKENS)
            for label, count, rate in buckets
            if count
        ]
        if price.per_request:
            lines.append(CostLine(_("Request"), 1, price.per_request, 1, price.per_request))
        exact = sum((line.usd for line in lines), ZERO)
        rest = record.cost_usd - exact
    # Less than half of the last place is rounding, which the sum shows.
    if abs(rest) >= Decimal("0.0000000001"):
        of_images = price.per_image or price.image_tiers
        lines.append(CostLine(_("Images") if of_images else _("Other"), 0, ZERO, 0, rest))
    return lines
