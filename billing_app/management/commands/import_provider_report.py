"""``./manage.py import_provider_report PROVIDER FILE``: read in what a provider says, and compare its days."""

from argparse import ArgumentParser
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts_app.exceptions import DeepSpaceError
from accounts_app.tenancy.context import operator_context
from billing_app.management.files import error_words, file_text
from billing_app.services.provider_reports import report_import
from billing_app.services.reconciliation import reconcile_days


class Command(BaseCommand):
    help = "Read in a provider's usage report (CSV or JSON), then compare ledger, usage and report for its days."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("provider", help="The provider's key in the catalogue.")
        parser.add_argument("file", type=Path, help="CSV with a header, or JSON; - reads standard input.")
        parser.add_argument(
            "--model",
            action="append",
            default=[],
            metavar="THEIRS=OURS",
            help="The provider's name of a model of ours.",
        )

    def handle(self, *args: Any, provider: str, file: Path, model: list[str], **options: Any) -> None:
        if wrong := [pair for pair in model if "=" not in pair]:
            raise CommandError(f"--model {wrong[0]}: say THEIRS=OURS.")
        names = dict(pair.split("=", 1) for pair in model)
        try:
            with operator_context("import_provider_report"):
                read = report_import(provider=provider, name=file.name, text=file_text(file), models=names)
                # A request at midnight may be of the day before, or the day after, in the other book.
                runs = reconcile_days(read.first_day - timedelta(days=1), read.last_day + timedelta(days=1))
        except DeepSpaceError as error:
            raise CommandError(error_words(error)) from error
        if not read.is_new:
            self.stdout.write("This file was read in before; its days were compared again.")
        for run in runs:
            self.stdout.write(
                f"{run.day}: {run.calls} calls recorded, {run.reported} requests reported,"
                f" {run.differences} differences"
            )
        self.stdout.write(f"{read.lines} lines, {sum(run.differences for run in runs)} differences.")
