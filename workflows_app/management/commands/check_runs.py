"""``./manage.py check_runs``: rebuild every run from its history; exit 1 and name each that differs."""

import json
from argparse import ArgumentParser
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from accounts_app.tenancy.context import operator_context
from workflows_app.services.checks import RunsReport, report_json, runs_check


class Command(BaseCommand):
    help = (
        "Read every run's history, from the table or the archive: is the chain whole, and does it add up to the run's "
        "row? Exits 1 and names the runs where not. Can be used while workers are at it."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="Print the result as one JSON document.")
        parser.add_argument(
            "--organization", type=UUID, default=None, metavar="ID", help="Check one organization only."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        with operator_context("check_runs"):
            report = runs_check(organization_id=options["organization"])
        if options["json"]:
            self.stdout.write(json.dumps(report_json(report)))
        else:
            self._print(report)
        if report.differences:
            wrong = {item.run_id for item in report.differences}
            raise CommandError(f"{len(wrong)} run(s) differ from their histories.", returncode=1)

    def _print(self, report: RunsReport) -> None:
        for item in report.differences:
            self.stdout.write(
                f"{item.what}: run {item.run_id} (organization {item.organization_id})\n"
                f"    stored  {item.stored}\n    derived {item.derived}"
            )
        self.stdout.write(
            f"{report.runs} runs ({report.archived} with archived events, {report.older} older than full histories),"
            f" {report.events} events: {len(report.differences)} differences."
        )
