"""``./manage.py archive_runs``: move months of run histories to the file storage now; exit 1 if one could not go."""

from argparse import ArgumentParser, ArgumentTypeError
from datetime import UTC, date, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.template.defaultfilters import filesizeformat

from accounts_app.tenancy.context import operator_context
from workflows_app.services.archive import MonthReport, retention_begins, runs_archive

# Of these the operator must do something about; the others pass by themselves.
_BAD = {
    "damaged": "a history has a hole, or an object is not what was written",
    "unavailable": "no answer from the file storage",
}


class Command(BaseCommand):
    help = (
        "Move months of run histories to the file storage, and drop them from the database once they were read back. "
        "Only months whose runs have all finished, never the last whole one. Can be repeated at any time."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--before",
            type=_month,
            metavar="YYYY-MM",
            help="Archive the months before this one; without it, those that RUN_EVENTS_RETENTION_MONTHS lets go.",
        )
        parser.add_argument("--dry-run", action="store_true", help="Only say what would be done.")

    def handle(self, *args: Any, before: date | None, dry_run: bool, **options: Any) -> None:
        first_kept = before or retention_begins()
        if first_kept is None:
            raise CommandError("Say --before YYYY-MM, or set RUN_EVENTS_RETENTION_MONTHS.")
        with operator_context("archive_runs"):
            reports = runs_archive(before=first_kept, dry_run=dry_run)
        for report in reports:
            self.stdout.write(_line(report))
        if not reports:
            self.stdout.write("There is no such month in the database.")
        bad = [report for report in reports if report.outcome in _BAD]
        if bad:
            raise CommandError(f"{len(bad)} month(s) could not be archived: {_BAD[bad[0].outcome]}.", returncode=1)


def _line(report: MonthReport) -> str:
    line = f"{report.month:%Y-%m}  {report.outcome:13}"
    if report.runs:
        line += f"  {report.runs} runs"
    if report.events:
        line += f", {report.events} events"
    if report.objects:
        size = filesizeformat(report.size).replace("\xa0", " ")
        line += f", {report.objects} objects, {size}"
    return line + (f"  run {report.run_id}" if report.run_id else "")


def _month(text: str) -> date:
    try:
        return datetime.strptime(text, "%Y-%m").replace(tzinfo=UTC).date()
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not a month; write it as 2026-03.") from None
