"""``./manage.py restore DIR``: load a backup into an empty database, and check what came."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from django.core.management.base import BaseCommand, CommandError

from config.environment import env
from workflows_app.exceptions import BackupRefused
from workflows_app.services.backups import backup_restore


class Command(BaseCommand):
    help = (
        "Load the backup in DIR into the empty database of DATABASE_URL, as its owner (DATABASE_OWNER_URL), put the "
        "files back, and compare everything with the manifest. Exits 1 where something differs."
    )
    # There are no tables yet that the checks could look at.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", type=Path, metavar="DIR", help="What `backup` wrote.")

    def handle(self, *args: Any, folder: Path, **options: Any) -> None:
        role = unquote(urlsplit(str(env("DATABASE_URL"))).username or "")
        try:
            report = backup_restore(folder=folder.resolve(), runtime_role=role)
        except BackupRefused as refused:
            raise CommandError(refused.message) from refused
        rows = sum(report.tables.values())
        self.stdout.write(f"{len(report.tables)} tables, {rows} rows, {report.files} files.")
        if report.faults:
            raise CommandError(f"Not as the manifest says: {', '.join(report.faults)}.", returncode=1)
        self.stdout.write("As the manifest says. Runs that were under way go on once their leases are over.")
