"""``./manage.py create_api_key EMAIL``: one new key, alone on the last line of stdout."""

from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.validators import validate_email
from django.db import transaction

from accounts_app.exceptions import DeepSpaceError
from accounts_app.models import User
from accounts_app.services.api_keys import api_key_create
from accounts_app.services.principals import principal_by_session
from accounts_app.services.trace import bind_trace
from accounts_app.services.users import user_create
from accounts_app.tenancy.context import bound


class Command(BaseCommand):
    help = "Create an API key in a person's own organization and print it, once, alone on the last line."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email", metavar="EMAIL")
        parser.add_argument("--name", default="command line", help="what the key is for (default: command line)")
        parser.add_argument("--create-user", action="store_true", help="make the account first if there is none")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with bind_trace(), transaction.atomic():
                user = self._user(options["email"].strip().lower(), create=options["create_user"])
                tenant = principal_by_session(user, None).tenant
                with bound(tenant):
                    new_key = api_key_create(name=options["name"])
        except DeepSpaceError as error:
            raise CommandError(error.message) from error
        self.stdout.write(new_key.secret)

    def _user(self, email: str, *, create: bool) -> User:
        user = User.objects.filter(email=email).first()
        if user is not None:
            return user
        if not create:
            raise CommandError(f"There is no user {email}. Add --create-user to make the account.")
        try:
            validate_email(email)
        except ValidationError as error:
            raise CommandError(f"{email} is not an e-mail address.") from error
        self.stderr.write(f"Created the account {email}. It has no password yet: use “Forgot password” to set one.")
        return user_create(email=email)
