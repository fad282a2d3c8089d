"""``./manage.py seed``: initial data (workspaces, workflows, prompts, catalogue), safe to run again."""

from typing import Any

from django.core.management.base import BaseCommand

from accounts_app.signals import seed_requested
from accounts_app.tenancy.context import operator_atomic


class Command(BaseCommand):
    help = "Load or refresh the initial data of every room. Safe to run again."

    def handle(self, *args: Any, **options: Any) -> None:
        with operator_atomic("seed"):
            for receiver, count in seed_requested.send(sender=Command):
                self.stdout.write(f"{receiver.__module__}: {count}")
