"""Which models a call may be made with: the one asked for, and the cheaper ones that have a price."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from billing_app.contracts import PriceRef
from billing_app.exceptions import ModelNotPriced
from gateway_app.contracts import CallRequest
from gateway_app.services.call import Call
from gateway_app.services.snapshot import Snapshot
from gateway_app.services.steps import Route
from tests.factories.gateway import candidate, model_snap

BIG, SMALL = "big", "small"


def price(**fields: Any) -> PriceRef:
    free, begun = Decimal(0), timezone.now() - timedelta(days=1)
    return PriceRef(uuid4(), "m", free, free, free, free, free, effective_from=begun, **fields)


def routed(prices: dict[str, PriceRef], **wanted: Any) -> list[str]:
    """Return the models that a call for BIG may be made with; SMALL is its cheaper one."""
    big = replace(model_snap(candidate("p"), key=BIG, kind=wanted.get("kind", "chat")), fallback_key=SMALL)
    models = {BIG: big, SMALL: replace(big, key=SMALL, fallback_key="")}
    snapshot = Snapshot(models, {key: (price,) for key, price in prices.items()}, BIG, 1, 1)
    call = Call(request=CallRequest(endpoint="chat/completions", model=BIG, input_bound=9, **wanted), snapshot=snapshot)
    asyncio.run(Route().before(call))
    return [option.model.key for option in call.options]


def test_a_cheaper_model_is_a_way_only_where_it_has_a_price() -> None:
    assert routed({BIG: price(), SMALL: price()}) == [BIG, SMALL]
    assert routed({BIG: price()}) == [BIG]
    with pytest.raises(ModelNotPriced):
        routed({SMALL: price()})


def test_pictures_fall_back_only_to_a_model_with_a_price_for_theirs() -> None:
    wanted = {"kind": "image", "images": 1, "image_tier": "high/1024x1024"}
    known, other = {"high/1024x1024": Decimal(1)}, {"low/1024x1024": Decimal(1)}
    assert routed({BIG: price(image_tiers=known), SMALL: price(per_image=Decimal(1))}, **wanted) == [BIG, SMALL]
    assert routed({BIG: price(image_tiers=known), SMALL: price(image_tiers=other)}, **wanted) == [BIG]
    with pytest.raises(ModelNotPriced):
        routed({BIG: price(image_tiers=other), SMALL: price(image_tiers=known)}, **wanted)
