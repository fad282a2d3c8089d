"""Money is Decimal, exact to ten places; credits are rounded up."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from accounts_app.exceptions import InvalidInput
from billing_app.contracts import TokenBuckets
from billing_app.services.amounts import amount_checked, amount_rounded, credits_of
from billing_app.templatetags.billing import exact_usd

USD = Decimal


@pytest.mark.parametrize("amount", [1.5, 1, "1", None, True])
def test_anything_but_a_decimal_is_a_type_error(amount: Any) -> None:
    with pytest.raises(TypeError, match="must be a Decimal"):
        amount_checked(amount)


@pytest.mark.parametrize(
    "amount", ["NaN", "Infinity", "-Infinity", "sNaN", "0", "-1", "1e10", "0.00000000001", "1e-30"]
)
def test_bad_amounts_are_refused_with_the_field_named(amount: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        amount_checked(USD(amount), field="amount")
    assert caught.value.details[0].field == "amount"


def test_an_amount_is_never_rounded_silently() -> None:
    assert amount_checked(USD("9999999999.9999999999")) == USD("9999999999.9999999999")
    with pytest.raises(InvalidInput):
        amount_checked(USD("0.99999999995"))


@given(st.decimals(min_value=0, max_value=10**9, places=14))
def test_rounding_is_half_up_to_ten_places(amount: Decimal) -> None:
    rounded = amount_rounded(amount)
    assert abs(rounded - amount) <= USD("0.00000000005")
    assert rounded == rounded.quantize(USD("0.0000000001"))


def test_rounding_goes_up_at_the_half() -> None:
    assert amount_rounded(USD("0.00000000005")) == USD("0.0000000001")
    assert amount_rounded(USD("0.000000000049")) == USD(0)


@pytest.mark.parametrize(("amount", "credit", "shown"), [
    ("0", "0.01", 0), ("0.0000000001", "0.01", 1), ("0.01", "0.01", 1), ("0.0100000001", "0.01", 2),
    ("8.75", "0.01", 875), ("1", "0.03", 34), ("9999999999", "0.0000000001", 99999999990000000000),
])  # fmt: skip
def test_credits_are_rounded_up(settings: Settings, amount: str, credit: str, shown: int) -> None:
    settings.CREDIT_USD = USD(credit)
    assert credits_of(USD(amount)) == shown


@pytest.mark.parametrize(("amount", "shown"), [
    ("0", "$0.00"), ("3", "$3.00"), ("-3.5", "-$3.50"), ("0.0000021000", "$0.0000021"), ("1234567.8", "$1,234,567.80"),
    ("1E+3", "$1,000.00"),
])  # fmt: skip
def test_pages_show_every_place_of_an_amount(amount: str, shown: str) -> None:
    assert exact_usd(USD(amount)) == shown


def test_buckets_are_disjoint_and_sum_to_the_total() -> None:
    tokens = TokenBuckets(input=100, cached_input=40, cache_write=10, output=30, reasoning=20)
    assert (tokens.input_total, tokens.output_total, tokens.total) == (150, 50, 200)


@pytest.mark.parametrize(
    ("bucket", "error"), [({"input": -1}, ValueError), ({"output": 1.5}, TypeError), ({"reasoning": True}, TypeError)]
)
def test_buckets_take_whole_numbers_only(bucket: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        TokenBuckets(**bucket)
