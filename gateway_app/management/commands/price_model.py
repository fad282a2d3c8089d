"""``./manage.py price_model KEY --input USD --output USD``: price a model from now on, and switch it on."""

from argparse import ArgumentParser
from decimal import Decimal, InvalidOperation
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts_app.exceptions import DeepSpaceError
from accounts_app.tenancy.context import operator_atomic
from billing_app.contracts import ZERO
from gateway_app.models import Provider
from gateway_app.services.catalogue import model_price


class Command(BaseCommand):
    help = "Price a model from now on, in USD per 1,000,000 tokens, and switch it on."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("model", help="Key of the model; an unknown one is added to --provider.")
        parser.add_argument("--input", type=_usd, required=True, metavar="USD")
        parser.add_argument("--output", type=_usd, required=True, metavar="USD")
        parser.add_argument("--cached-input", type=_usd, default=None, metavar="USD")
        parser.add_argument("--per-request", type=_usd, default=ZERO, metavar="USD", help="For each call.")
        parser.add_argument("--per-image", type=_usd, default=ZERO, metavar="USD", help="For each image made.")
        parser.add_argument("--provider", default="openai", help="Key of the provider of a new model.")
        parser.add_argument("--source", default="operator", help="Where the price was read.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with operator_atomic("price_model"):
                price = model_price(
                    model_key=options["model"],
                    provider=Provider.objects.filter(key=options["provider"]).first(),
                    input_usd=options["input"],
                    output_usd=options["output"],
                    cached_input_usd=options["cached_input"],
                    per_request_usd=options["per_request"],
                    per_image_usd=options["per_image"],
                    source=options["source"],
                )
        except DeepSpaceError as error:
            raise CommandError(error.message) from error
        self.stdout.write(f"{price.model_key}: {price.input:f} in, {price.output:f} out (USD per 1M tokens), active")


def _usd(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise CommandError(f"Not an amount in USD: {text}") from None
