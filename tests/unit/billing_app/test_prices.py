"""The price in force at a time, exact costs, and prices that never change."""

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from accounts_app.exceptions import Conflict, InvalidInput, NotFound
from accounts_app.tenancy.context import operator_atomic
from billing_app.contracts import PriceRef, TokenBuckets
from billing_app.exceptions import KeyConflict, ModelNotPriced
from billing_app.models import Price
from billing_app.services.prices import price_cost, price_current, price_images_check, price_set, price_withdraw
from tests.factories.billing import price_of

USD = Decimal
DAY = timedelta(days=1)
NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)

rates = st.decimals(min_value=0, max_value=10_000, places=10)
counts = st.integers(min_value=0, max_value=10**9)


def price_ref_of(
    fresh: Decimal, cached: Decimal, written: Decimal, output: Decimal, reasoning: Decimal, per_request: Decimal
) -> PriceRef:
    return PriceRef(uuid.uuid4(), "m", fresh, cached, written, output, reasoning, per_request)


def ref(**values: str) -> PriceRef:
    """Return a price of nothing but the given rates."""
    names = ("input", "cached_input", "cache_write", "output", "reasoning", "per_request")
    return price_ref_of(*(USD(values.get(name, "0")) for name in names))


@pytest.mark.django_db
def test_the_price_in_force_is_the_last_that_began() -> None:
    model = price_of(since=NEW_YEAR, input="1").model_key
    price_of(model, since=NEW_YEAR + 10 * DAY, input="3")
    price_of(model, since=NEW_YEAR + 5 * DAY, input="2")
    in_force = [price_current(model_key=model, at=NEW_YEAR + n * DAY).input for n in (0, 4, 5, 9, 10, 100)]
    assert in_force == [1, 1, 2, 2, 3, 3]
    with pytest.raises(ModelNotPriced):
        price_current(model_key=model, at=NEW_YEAR - timedelta(microseconds=1))


@pytest.mark.django_db
def test_a_price_of_tomorrow_is_not_in_force_today() -> None:
    model = price_of(since=timezone.now() + DAY).model_key
    with pytest.raises(ModelNotPriced, match=model) as caught:
        price_current(model_key=model)
    assert caught.value.code == "model_not_priced"


HIGH = {"high/1024x1024": USD("0.167"), "low/1024x1024": USD(0)}


@pytest.mark.parametrize(("per_image", "tiers", "images", "tier"), [
    ("0", HIGH, 0, "high/512x512"),
    ("0", HIGH, 1, "high/1024x1024"),
    ("0", HIGH, 1, "low/1024x1024"),  # for nothing, but somebody has said so
    ("0.04", HIGH, 1, "high/512x512"),
    ("0", {}, 1, "high/512x512"),  # priced by tokens, or for nothing
])  # fmt: skip
def test_images_with_a_price_are_let_through(per_image: str, tiers: dict[str, Decimal], images: int, tier: str) -> None:
    price = replace(ref(), per_image=USD(per_image), image_tiers=tiers)
    price_images_check(price, images=images, image_tier=tier)


@pytest.mark.parametrize(("tier", "field"), [
    ("auto/auto", "quality"), ("medium/1024x1024", "quality"), ("high/512x512", "size"), ("low/auto", "size"),
])  # fmt: skip
def test_images_of_a_tier_without_price_are_refused_and_the_field_named(tier: str, field: str) -> None:
    with pytest.raises(ModelNotPriced, match=r"high/1024x1024, low/1024x1024") as refused:
        price_images_check(replace(ref(), image_tiers=HIGH), images=1, image_tier=tier)
    assert [detail.field for detail in refused.value.details] == [field]


@given(
    st.tuples(rates, rates, rates, rates, rates, rates),
    st.tuples(counts, counts, counts, counts, counts),
)
def test_cost_equals_exact_arithmetic_rounded_once(price: tuple[Decimal, ...], buckets: tuple[int, ...]) -> None:
    cost = price_cost(price_ref_of(*price), TokenBuckets(*buckets))
    exact = sum(Fraction(rate) * count for rate, count in zip(price, buckets, strict=False)) / 10**6 + Fraction(
        price[5]
    )
    assert Fraction(cost) == Fraction(int(exact * 10**10 + Fraction(1, 2)), 10**10)


def test_tricky_prices_come_out_exact() -> None:
    assert price_cost(ref(input="0.1"), TokenBuckets(input=3)) == USD("0.0000003")
    assert price_cost(ref(input="0.0001"), TokenBuckets(input=1)) == USD("0.0000000001")
    # half a unit in the last place goes up, once, over all buckets together
    assert price_cost(ref(input="0.00005"), TokenBuckets(input=1)) == USD("0.0000000001")
    assert price_cost(ref(input="0.000049"), TokenBuckets(input=1)) == USD(0)
    assert price_cost(ref(input="0.00003", output="0.00003"), TokenBuckets(input=1, output=1)) == USD("0.0000000001")
    assert price_cost(ref(per_request="0.003"), TokenBuckets()) == USD("0.003")


def test_each_token_is_priced_in_one_bucket_only() -> None:
    price = ref(input="1", cached_input="0.1", cache_write="1.25", output="10", reasoning="20")
    tokens = TokenBuckets(input=60, cached_input=40, cache_write=8, output=7, reasoning=3)
    assert price_cost(price, tokens) == USD("0.000204")  # 60 + 4 + 10 + 70 + 60 millionths


@pytest.mark.django_db
def test_left_out_rates_follow_input_and_output() -> None:
    price = price_of(input="3", output="7")
    assert (price.cached_input, price.cache_write, price.reasoning, price.per_request) == (
        USD(3),
        USD(3),
        USD(7),
        USD(0),
    )


@pytest.mark.django_db
def test_the_same_price_again_changes_nothing_and_another_conflicts() -> None:
    fields: dict[str, Any] = {
        "model_key": "again", "input": USD(1), "output": USD(2), "effective_from": NEW_YEAR, "source": "list",
    }  # fmt: skip
    with operator_atomic("test"):
        assert price_set(**fields).id == price_set(**fields).id
        with pytest.raises(KeyConflict):
            price_set(**(fields | {"output": USD("2.1")}))
        with pytest.raises(TypeError):
            price_set(**(fields | {"output": 2.1}))
        with pytest.raises(InvalidInput):
            price_set(**(fields | {"output": USD("-1"), "model_key": "other"}))
        with pytest.raises(InvalidInput):
            price_set(**(fields | {"source": ""}))


@pytest.mark.django_db
def test_two_prices_cannot_begin_at_the_same_moment() -> None:
    row = Price.objects.get(pk=price_of().id)
    row.pk = uuid.uuid4()
    with pytest.raises(IntegrityError, match="price_once_from_a_moment"), transaction.atomic():
        row.save(force_insert=True)


@pytest.mark.django_db
def test_a_price_below_zero_is_refused_by_the_database() -> None:
    row = Price.objects.get(pk=price_of().id)
    row.pk, row.model_key, row.output = uuid.uuid4(), "negative", USD(-1)
    with pytest.raises(IntegrityError, match="price_not_negative"), transaction.atomic():
        row.save(force_insert=True)


@pytest.mark.django_db
def test_a_price_is_never_changed_and_a_begun_one_never_deleted() -> None:
    begun, future = price_of(), price_of(since=timezone.now() + DAY)
    for refused in (
        lambda: Price.objects.filter(pk=begun.id).update(input=USD(9)),
        lambda: Price.objects.filter(pk=future.id).update(input=USD(9)),
        lambda: Price.objects.filter(pk=begun.id).delete(),
    ):
        with pytest.raises(IntegrityError, match="never changed"), transaction.atomic():
            refused()
    with operator_atomic("test"):
        with pytest.raises(Conflict):
            price_withdraw(price_id=begun.id)
        price_withdraw(price_id=future.id)
        with pytest.raises(NotFound):
            price_withdraw(price_id=future.id)
