"""``./manage.py backup DIR``: database, files and a manifest of one moment, while the system runs."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from workflows_app.exceptions import BackupRefused
from workflows_app.services.backups import backup_make


class Command(BaseCommand):
    help = "Write a backup of database and files into DIR, with the checks of the books and of all runs at that moment."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", type=Path, metavar="DIR", help="A new or empty folder.")

    def handle(self, *args: Any, folder: Path, **options: Any) -> None:
        try:
            manifest = backup_make(folder=folder.resolve())
        except BackupRefused as refused:
            raise CommandError(refused.message) from refused
        rows, size = sum(manifest["tables"].values()), manifest["bytes"]
        self.stdout.write(
            f"{len(manifest['tables'])} tables, {rows} rows, {size} bytes, {len(manifest['files'])} files."
        )
        wrong = [name for name in ("ledger", "runs") if manifest[name]["differences"]]
        if wrong:
            raise CommandError(f"The backup is whole, but what it holds is not: {', '.join(wrong)}.", returncode=1)
