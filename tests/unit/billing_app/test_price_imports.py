"""Prices come from a file whole or not at all, and what they change is shown before."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from accounts_app.exceptions import InvalidInput
from accounts_app.models import AuditLog
from accounts_app.tenancy.context import operator_atomic
from billing_app.contracts import TokenBuckets
from billing_app.models import Price
from billing_app.services.price_imports import PriceChange, prices_import
from billing_app.services.prices import price_cost, price_current

pytestmark = pytest.mark.django_db
USD = Decimal
HEAD = "model,input,output,cached_input,per_image,image_tiers,effective_from,source"
FIRST = "import-a,1.25,10,0.125,,,2026-01-01,a price list"
SECOND = "import-a,1.5,10,0.125,,,2026-06-01T00:00:00Z,a price list"
PICTURE = "import-b,,,,0.04,high/1024x1024=0.167; low/1024x1024=0.011,2026-01-01,a price list"


def imported(*lines: str, dry_run: bool = False) -> list[PriceChange]:
    with operator_atomic("test"):
        return prices_import(text="\n".join([HEAD, *lines]), dry_run=dry_run)


def known() -> int:
    return Price.objects.filter(model_key__startswith="import-").count()


def test_prices_hold_from_their_moment_on() -> None:
    imported(FIRST, SECOND)
    at_new_year, at_midsummer = (
        price_current(model_key="import-a", at=datetime(2026, month, 2, tzinfo=UTC)) for month in (1, 6)
    )
    assert (at_new_year.input, at_midsummer.input) == (USD("1.25"), USD("1.5"))
    # Left out: as much as input or output.
    assert (at_new_year.cached_input, at_new_year.cache_write, at_new_year.reasoning) == (
        USD("0.125"), USD("1.25"), USD(10),
    )  # fmt: skip


def test_pictures_cost_by_tier_or_by_the_piece() -> None:
    imported(PICTURE)
    price = price_current(model_key="import-b")
    none = TokenBuckets()
    assert price_cost(price, none, images=2, image_tier="high/1024x1024") == USD("0.334")
    assert price_cost(price, none, images=3, image_tier="medium/512x512") == USD("0.12")
    assert price_cost(price, none) == 0


def test_json_is_read_without_passing_through_floats() -> None:
    row = {"model": "import-j", "input": 0.1, "output": 1, "per_request": "0.0000000001",
           "effective_from": "2026-01-01", "source": "list", "source_date": "2025-12-24",
           "image_tiers": {"low/512x512": 0.3}}  # fmt: skip
    with operator_atomic("test"):
        prices_import(text=json.dumps([row]))
    price = Price.objects.get(model_key="import-j")
    assert (price.input, price.per_request) == (USD("0.1"), USD("0.0000000001"))
    assert price.ref().image_tiers == {"low/512x512": USD("0.3")}
    assert str(price.source_date) == "2025-12-24"


def test_what_changes_is_told() -> None:
    imported(FIRST)
    (known_already, change) = imported(FIRST, SECOND)
    assert (known_already.is_new, known_already.changes) == (False, ())
    assert (change.is_new, change.changes) == (
        True,
        (("input", USD("1.25"), USD("1.5")), ("cache_write", USD("1.25"), USD("1.5"))),
    )
    assert AuditLog.objects.filter(action="price.set", data__model="import-a").count() <= 2


def test_a_dry_run_changes_nothing_and_says_the_same() -> None:
    would = imported(FIRST, SECOND, PICTURE, dry_run=True)
    assert known() == 0
    assert imported(FIRST, SECOND, PICTURE) == would
    assert known() == 3


@pytest.mark.parametrize(("line", "where", "why"), [
    (",1,2,,,,2026-01-01,s", "Line 3, model", "required"),
    ("import-x,one,2,,,,2026-01-01,s", "Line 3, input", "amount of money"),
    ("import-x,-1,2,,,,2026-01-01,s", "Line 3, input", "too small"),
    ("import-x,1.00000000001,2,,,,2026-01-01,s", "Line 3, input", "ten decimal places"),
    ("import-x,1,,,,,2026-01-01,s", "Line 3, output", "required"),
    ("import-x,1,2,,,,soon,s", "Line 3, effective_from", "not a date"),
    ("import-x,1,2,,,,2026-13-01,s", "Line 3, effective_from", "not a date"),
    ("import-x,1,2,,,,2026-01-01,", "Line 3, source", "required"),
    ("import-x,1,2,,,high,2026-01-01,s", "Line 3, image_tiers", "quality/size=USD"),
    ("import-x,1,2,,,high/1x1=-1,2026-01-01,s", "Line 3, image_tiers.high/1x1", "too small"),
    ("import-x,1,2,,,high=1,2026-01-01,s", "Line 3, image_tiers", "a quality and a size"),
    ("import-a,2,10,0.125,,,2026-01-01,another list", "Line 3, effective_from", "another price from the same moment"),
])  # fmt: skip
def test_one_wrong_line_is_named_and_keeps_all_out(line: str, where: str, why: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        imported(FIRST, line)
    (detail,) = refused.value.details
    assert detail.field == where
    assert why in detail.message
    assert known() == 0


def test_a_column_that_does_not_exist_is_named() -> None:
    with operator_atomic("test"), pytest.raises(InvalidInput) as refused:
        prices_import(text="model,inptu,output\nm,1,2\n")
    assert refused.value.details[0].field == "Line 2, inptu"


def test_command_shows_then_adds(tmp_path: Path) -> None:
    file, out = tmp_path / "prices.csv", StringIO()
    file.write_text(f"{HEAD}\n{FIRST}\n{SECOND}\n{PICTURE}")
    call_command("import_prices", str(file), "--dry-run", stdout=out)
    assert known() == 0
    call_command("import_prices", str(file), stdout=out)
    call_command("import_prices", str(file), stdout=out)
    told = out.getvalue()
    assert "import-a from 2026-06-01 00:00 UTC: input 1.25 → 1.5" in told
    assert "high/1024x1024 0.167" in told
    assert "3 prices would be added, 0 known already." in told
    assert "3 prices added, 0 known already." in told
    assert told.rstrip().endswith("0 prices added, 3 known already.")


def test_command_names_the_lines_that_are_wrong(tmp_path: Path) -> None:
    file = tmp_path / "prices.csv"
    file.write_text(f"{HEAD}\n{FIRST}\nm,x,2,,,,2026-01-01,s\nm,1,2,,,,never,s")
    with pytest.raises(CommandError, match=r"(?s)Line 3, input: .*Line 4, effective_from: "):
        call_command("import_prices", str(file))
    assert known() == 0
