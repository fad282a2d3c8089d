"""``./manage.py wallet_topup EMAIL AMOUNT``: credit the wallet of a person's own organization."""

import uuid
from argparse import ArgumentParser
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from accounts_app.exceptions import DeepSpaceError
from accounts_app.tenancy.context import operator_atomic
from billing_app.selectors import personal_wallet_owner
from billing_app.services.wallets import wallet_topup


class Command(BaseCommand):
    help = "Add AMOUNT (USD) to the wallet of the personal organization of EMAIL, and print the new balance."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email")
        parser.add_argument("amount", help="USD, such as 25 or 0.50")
        parser.add_argument("--note", default="", help="Shown beside the entry.")
        parser.add_argument("--key", default="", help="Idempotency key: the same key again adds nothing.")

    def handle(self, *args: Any, email: str, amount: str, note: str, key: str, **options: Any) -> None:
        key, usd = key or f"cli:{uuid.uuid4()}", _usd(amount)
        try:
            with operator_atomic("wallet_topup"):
                wallet = wallet_topup(organization_id=_organization(email), amount=usd, key=key, note=note)
        except DeepSpaceError as error:
            raise CommandError(_words(error)) from error
        self.stdout.write(f"{email}: {wallet.balance} USD")


def _organization(email: str) -> UUID:
    organization_id = personal_wallet_owner(email)
    if organization_id is None:
        raise CommandError(f"There is no account with the address {email}.")
    return organization_id


def _usd(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise CommandError(f"{text!r} is not an amount in USD.") from None


def _words(error: DeepSpaceError) -> str:
    return " ".join([error.message, *(f"{item.field}: {item.message}" for item in error.details)])
