"""``./manage.py import_prices FILE``: append prices from a CSV or JSON file, all of them or none."""

from argparse import ArgumentParser
from decimal import Decimal
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts_app.exceptions import DeepSpaceError
from accounts_app.tenancy.context import operator_atomic
from billing_app.management.files import error_words, file_text
from billing_app.services.price_imports import PriceChange, prices_import


class Command(BaseCommand):
    help = "Append prices from a file. A price is never changed: a new one holds from its effective_from on."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="CSV with a header, or JSON; - reads standard input.")
        parser.add_argument("--dry-run", action="store_true", help="Show what would change, and change nothing.")

    def handle(self, *args: Any, file: Path, dry_run: bool, **options: Any) -> None:
        try:
            with operator_atomic("import_prices"):
                changes = prices_import(text=file_text(file), dry_run=dry_run)
        except DeepSpaceError as error:
            raise CommandError(error_words(error)) from error
        for change in changes:
            self.stdout.write(_words(change))
        new = sum(change.is_new for change in changes)
        self.stdout.write(
            f"{new} prices {'would be added' if dry_run else 'added'}, {len(changes) - new} known already."
        )


def _words(change: PriceChange) -> str:
    rates = ", ".join(_rate(*each) for each in change.changes) or "no rate differs"
    moment = f"{change.effective_from:%Y-%m-%d %H:%M %Z}"
    return f"{change.model_key} from {moment}: {rates if change.is_new else 'known already'}"


def _rate(name: str, before: Decimal | None, after: Decimal) -> str:
    return (
        f"{name} {after.normalize():f}" if before is None else f"{name} {before.normalize():f} → {after.normalize():f}"
    )
