"""``./manage.py demo_account EMAIL``: a first account for a new copy in development."""

import os
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts_app.models import User
from accounts_app.services.users import user_create


class Command(BaseCommand):
    help = "Make an operator account with the password in DEMO_PASSWORD, unless there is any account already."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email")

    def handle(self, *args: Any, **options: Any) -> str:
        password = os.environ.get("DEMO_PASSWORD")
        if not password:
            raise CommandError("DEMO_PASSWORD: is not set. `make run` sets it; by hand, give the account's password.")
        if User.objects.exists():
            return "kept"
        user_create(email=options["email"], password=password, is_operator=True)
        return "made"
