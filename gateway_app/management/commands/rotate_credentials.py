"""``./manage.py rotate_credentials``: encrypt the providers' stored API keys anew, under the first CREDENTIALS_KEY."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts_app.exceptions import DeepSpaceError
from accounts_app.tenancy.context import operator_atomic
from gateway_app.services.secrets import secrets_rotate


class Command(BaseCommand):
    help = "Encrypt the providers' stored API keys anew, under the first key of CREDENTIALS_KEY."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with operator_atomic("rotate_credentials"):
                count = secrets_rotate()
        except DeepSpaceError as error:
            raise CommandError(error.message) from error
        self.stdout.write(f"{count} stored API keys are encrypted under the first key.")
