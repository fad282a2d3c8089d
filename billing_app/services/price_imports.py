"""Prices read in from a file: all of its lines or none."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from accounts_app.exceptions import InvalidInput
from billing_app.contracts import ZERO, PriceRef
from billing_app.exceptions import KeyConflict
from billing_app.models import Price
from billing_app.services.prices import price_set
from billing_app.services.tables import Faults, Line, lines_of

RATES = ("input", "output", "cached_input", "cache_write", "reasoning", "per_request", "per_image")
COLUMNS = {"model", *RATES, "image_tiers", "effective_from", "source", "source_date"}


@dataclass(frozen=True)
class PriceChange:
    """One line. ``is_new`` is False for a price that is there already; ``changes`` are (rate, before, after) in USD.

    Before is the price that the new one follows, None where the model had none.
    """

    model_key: str
    effective_from: datetime
    is_new: bool
    changes: tuple[tuple[str, Decimal | None, Decimal], ...]


@transaction.atomic
def prices_import(*, text: str, dry_run: bool = False) -> list[PriceChange]:
    """Append each price of a CSV or JSON table, or none of them; return what that changes, in the file's order.

    Columns: ``model``, ``effective_from``, ``source`` (needed); ``input``, ``output`` (needed unless a price per
    request or image is given); ``cached_input``, ``cache_write``, ``reasoning`` (as `price_set` when left out);
    ``per_request``, ``per_image``, ``image_tiers`` ("quality/size=USD;…", in JSON an object), ``source_date``. USD per
    1,000,000 tokens, request and image. ``dry_run`` does all of it and takes it back. Raises InvalidInput with the
    line numbers.
    """
    faults, changes = Faults(), []
    for line in lines_of(text):
        try:
            changes.append(_appended(line))
        except InvalidInput as error:
            faults.note(line, error)
        except KeyConflict as error:
            faults.note(line, InvalidInput.for_field("effective_from", error.message))
    faults.settle()
    if dry_run:
        transaction.set_rollback(True)
    return changes


def _appended(line: Line) -> PriceChange:
    fields = _fields(line)
    theirs = Price.objects.filter(model_key=fields["model_key"], effective_from__lte=fields["effective_from"])
    before = theirs.order_by("-effective_from").first()
    after = price_set(**fields)
    is_new = before is None or before.effective_from != after.effective_from
    known = {} if before is None else _rates(before.ref())
    rates = dict.fromkeys(known, ZERO) | _rates(after)
    changed = tuple((name, known.get(name), rate) for name, rate in rates.items() if known.get(name, ZERO) != rate)
    return PriceChange(after.model_key, fields["effective_from"], is_new, changed if is_new else ())


def _rates(price: PriceRef) -> dict[str, Decimal]:
    return {name: getattr(price, name) for name in RATES} | dict(price.image_tiers)


def _fields(line: Line) -> dict[str, Any]:
    if unknown := sorted(str(name) for name in line.fields.keys() - COLUMNS):
        raise InvalidInput.for_field(unknown[0], _("There is no such column."))
    rates = {name: rate for name in RATES if (rate := line.usd(name)) is not None}
    tiers = _tiers(line)
    for name in ("input", "output"):
        if name not in rates and not (tiers or "per_request" in rates or "per_image" in rates):
            raise InvalidInput.for_field(name, _("This field is required."))
    return {
        "input": ZERO,
        "output": ZERO,
        **rates,
        "model_key": line.text("model"),
        "image_tiers": tiers,
        "effective_from": line.moment("effective_from"),
        "source": line.text("source"),
        "source_date": line.day("source_date") if line.text("source_date", default="") else None,
    }


def _tiers(line: Line) -> dict[str, Decimal]:
    given = line.fields.get("image_tiers") or {}
    if not isinstance(given, Mapping):
        pairs = [pair.partition("=") for pair in str(given).split(";") if pair.strip()]
        given = {name.strip(): rate.strip() for name, _equals, rate in pairs}
    try:
        return {str(name): Decimal(str(rate)) for name, rate in given.items()}
    except InvalidOperation:
        raise InvalidInput.for_field("image_tiers", _("Say quality/size=USD, separated by semicolons.")) from None
