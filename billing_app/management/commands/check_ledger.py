"""``./manage.py check_ledger``: derive every balance again; exit 1 and name each row that differs."""

import json
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from billing_app.services.checks import LedgerReport, ledger_check, ledger_snapshot


class Command(BaseCommand):
    help = "Derive every balance, hold, charge and roll-up again. Exits 1 and names the rows where anything differs."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="Print the result as one JSON document.")
        parser.add_argument(
            "--organization", type=UUID, default=None, metavar="ID", help="Check one organization only."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        with ledger_snapshot(options["organization"]):
            report = ledger_check()
        if options["json"]:
            self.stdout.write(json.dumps(_document(report), default=str))
        else:
            self._print(report)
        if report.differences:
            raise CommandError(f"{len(report.differences)} row(s) differ.", returncode=1)

    def _print(self, report: LedgerReport) -> None:
        for item in report.differences:
            self.stdout.write(
                f"{item.what}: {item.table} {item.row} (organization {item.organization_id})\n"
                f"    stored  {item.stored}\n    derived {item.derived}"
            )
        self.stdout.write(
            f"{report.wallets} wallets, {report.open_holds} open holds, {report.calls} calls,"
            f" cost {report.cost_usd} USD, charged {report.charged_usd} USD: {len(report.differences)} differences."
        )


def _document(report: LedgerReport) -> dict[str, Any]:
    figures = asdict(report)
    names = ("calls", "input_tokens", "output_tokens", "cost_usd", "charged_usd")
    usage = {name: figures.pop(name) for name in names}
    return {"wallets": report.wallets, "open_holds": report.open_holds, "usage": usage} | {
        "differences": figures["differences"]
    }
