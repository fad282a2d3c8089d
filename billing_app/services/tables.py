"""Tables that operators read in from files: CSV with a header, or JSON with a list of objects.

A fault names its line, and nothing of the file counts then.
"""

import csv
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

from django.utils.dateparse import parse_date, parse_datetime
from django.utils.translation import gettext as _

from accounts_app.exceptions import FieldError, InvalidInput
from billing_app.services.amounts import amount_checked

# A field of one line that is wrong: (field, sentence). Collected, so that a file is put right in one go.
MOST_FAULTS = 20


@dataclass(frozen=True)
class Line:
    """One row of a table with its line number (an object's number in JSON, from 1). Empty fields count as missing."""

    number: int
    fields: Mapping[str, Any]

    def text(self, *names: str, default: str | None = None) -> str:
        """Return the first of the fields ``names`` that is given; raises InvalidInput when none is and no default."""
        found = self._first(names)
        if found is None and default is None:
            raise InvalidInput.for_field(names[0], _("This field is required."))
        return str(found).strip() if found is not None else default or ""

    def count(self, *names: str, default: int = 0) -> int:
        """Return a whole number from 0 on."""
        text = self.text(*names, default=str(default))
        if not text.isdecimal() or not text.isascii():
            raise InvalidInput.for_field(names[0], _("This is not a whole number from 0 on."))
        return int(text)

    def usd(self, *names: str) -> Decimal | None:
        """Return an amount (USD, ≥ 0, at most ten places); None when it is not given."""
        text = self.text(*names, default="")
        if not text:
            return None
        try:
            return amount_checked(Decimal(text), field=names[0], least=Decimal(0))
        except InvalidOperation:
            raise InvalidInput.for_field(names[0], _("This is not an amount of money.")) from None

    def moment(self, *names: str) -> datetime:
        """Return a moment: without a time zone it is UTC, a day is its first moment, a number seconds since 1970."""
        text = self.text(*names)
        try:
            if text.isdecimal():
                return datetime.fromtimestamp(int(text), UTC)
            moment = parse_datetime(text)
            day = None if moment else parse_date(text)
        except (ValueError, OverflowError, OSError):
            moment = day = None
        if moment is None and day is None:
            raise InvalidInput.for_field(names[0], _("This is not a date, or not one with a time."))
        moment = moment or datetime(day.year, day.month, day.day, tzinfo=UTC)  # type: ignore[union-attr]
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)

    def day(self, *names: str) -> date:
        """Return the day (UTC) of a moment."""
        return self.moment(*names).astimezone(UTC).date()

    def uuid(self, *names: str) -> UUID | None:
        """Return an id; None when it is missing or of another form."""
        try:
            return UUID(self.text(*names, default=""))
        except ValueError:
            return None

    def _first(self, names: Iterable[str]) -> Any:
        return next((self.fields[name] for name in names if self.fields.get(name) not in (None, "")), None)


class Faults:
    """What is wrong with a file, line by line."""

    def __init__(self) -> None:
        self.details: list[FieldError] = []

    def note(self, line: Line, error: InvalidInput) -> None:
        """Remember the faults of one line."""
        for item in error.details or (FieldError("", error.message),):
            where = _("Line %(number)d") % {"number": line.number}
            self.details.append(FieldError(f"{where}, {item.field}" if item.field else where, item.message))

    def settle(self) -> None:
        """Raise InvalidInput with all of them, if there are any."""
        if self.details:
            raise InvalidInput(
                _("The file has faults; nothing was read in."), details=tuple(self.details[:MOST_FAULTS])
            )


def lines_of(text: str) -> list[Line]:
    """Return the rows of a CSV or JSON text; raises InvalidInput when it is neither, or has none."""
    rows = _json_rows(text) if text.lstrip()[:1] in ("[", "{") else _csv_rows(text)
    if not rows:
        raise InvalidInput(_("The file has no rows."))
    return rows


def _csv_rows(text: str) -> list[Line]:
    reader = csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    try:
        rows = [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise InvalidInput(
            _("Line %(number)d is not CSV: %(why)s.") % {"number": reader.line_num, "why": error}
        ) from None
    for number, row in rows:
        # DictReader files surplus values under None, and fills missing ones with None.
        if None in row:
            raise InvalidInput(_("Line %(number)d has more fields than the first line.") % {"number": number})
    return [Line(number, {name.strip().lower(): value for name, value in row.items()}) for number, row in rows]


def _json_rows(text: str) -> list[Line]:
    try:
        # Numbers stay text: no amount passes through a float.
        document = json.loads(text, parse_float=str, parse_int=str)
    except ValueError as error:
        raise InvalidInput(_("This is not JSON: %(why)s.") % {"why": error}) from None
    rows = document.get("data") if isinstance(document, dict) else document
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise InvalidInput(_("The file is to hold a list of objects, or an object with such a list under “data”."))
    return [Line(number, {name.lower(): value for name, value in row.items()}) for number, row in enumerate(rows, 1)]
