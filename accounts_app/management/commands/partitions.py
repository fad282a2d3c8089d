"""``./manage.py partitions``: the months of partitioned tables, with their sizes."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.template.defaultfilters import filesizeformat

from accounts_app.services.partitions import Upkeep, partitions_keep, partitions_list
from accounts_app.tenancy.context import operator_context


class Command(BaseCommand):
    help = "List the months of each partitioned table with estimated rows and size; --keep does the daily upkeep first."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--keep", action="store_true", help="Make months ahead, and drop those that are past their retention."
        )

    def handle(self, *args: Any, keep: bool, **options: Any) -> None:
        with operator_context("partitions"):
            if keep:
                self._say(partitions_keep())
            for partition in partitions_list():
                size = filesizeformat(partition.size).replace("\xa0", " ")
                self.stdout.write(f"{partition.name:40}{partition.rows:>14} rows {size:>12}")

    def _say(self, upkeep: Upkeep) -> None:
        for verb, names in (("made", upkeep.made), ("dropped", upkeep.dropped), ("busy, not done", upkeep.busy)):
            for name in names:
                self.stdout.write(f"{verb}: {name}")
