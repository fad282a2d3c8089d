"""``./manage.py sync_models``: read what a provider offers; new models stay inactive until they are priced."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from accounts_app.exceptions import DeepSpaceError
from accounts_app.tenancy.context import operator_context
from gateway_app.models import Provider
from gateway_app.services.catalogue import models_sync
from gateway_app.services.routes import endpoint_at


class Command(BaseCommand):
    help = "Read the model list of every provider that is set up (or of one). New models stay inactive until priced."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("provider", nargs="?", default="", help="Key of one provider, such as openai.")

    def handle(self, *args: Any, **options: Any) -> None:
        with operator_context("sync_models"):
            for provider in _providers(options["provider"]):
                self._sync(provider)

    def _sync(self, provider: Provider) -> None:
        try:
            new, known = models_sync(provider=provider)
        except DeepSpaceError as error:
            raise CommandError(f"{provider.key}: {error.message}") from error
        self.stdout.write(f"{provider.key}: {len(known)} known, {len(new)} new")
        for key in new:
            self.stdout.write(f"  {key}: inactive; ./manage.py price_model {key} --input USD --output USD")


def _providers(key: str) -> list[Provider]:
    with transaction.atomic():
        chosen = Provider.objects.filter(key=key) if key else Provider.objects.all()
        ready = [provider for provider in chosen if endpoint_at(provider)]
    if not ready:
        raise CommandError("No such provider is set up. Set OPENAI_API_KEY or OPENAI_BASE_URL.")
    return ready
