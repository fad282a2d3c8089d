"""Models of every kind at the scripted upstream, and limits of their callers."""

from decimal import Decimal
from typing import Any
from uuid import UUID

from django.utils import timezone

from accounts_app.tenancy.context import operator_atomic
from billing_app.services.prices import price_set
from gateway_app.models import ModelEntry, ModelRoute, Provider, RateLimit
from tests.factories.gateway import scripted_model

EMBEDDING, IMAGE, PICTURE, MODERATION = "tiny-embedding", "tiny-image", "tiny-dall-e", "tiny-moderation"
# Has a price for pictures of one tier, and none for any other.
TIERED = "tiny-tiered"
OTHER_NAME = "another-name"
EMBEDDING_USD, REQUEST_USD, PICTURE_USD = Decimal("0.02"), Decimal("0.0015"), Decimal("0.04")
LARGE_PICTURE_USD = Decimal("0.08")


def wire_catalogue(provider: Provider) -> None:
    """Add an embedding model, an image model priced by tokens and one by the image, one priced per request, a chat
    model with another name at the provider, and chat models with further faults."""
    for switch in ("error", "thoughts", "slow=60"):
        scripted_model(provider, f"scripted--{switch}")
    zero = Decimal(0)
    _model(provider, EMBEDDING, "embedding", input=EMBEDDING_USD, output=zero)
    _model(provider, IMAGE, "image", input=Decimal(5), output=Decimal(40))
    tiers = {"hd/1024x1024": LARGE_PICTURE_USD}
    _model(provider, PICTURE, "image", input=zero, output=zero, per_image=PICTURE_USD, image_tiers=tiers)
    _model(provider, TIERED, "image", input=zero, output=zero, image_tiers=tiers)
    _model(provider, MODERATION, "other", paths=["moderations"], input=zero, output=zero, per_request=REQUEST_USD)
    _model(provider, OTHER_NAME, "chat", upstream_name="scripted", input=Decimal(1), output=Decimal(4))


def request_limit(organization_id: UUID, per_minute: int) -> None:
    """Let the organization make so many requests in any minute."""
    with operator_atomic("test"):
        RateLimit.objects.create(
            organization_id=organization_id,
            scope="organization",
            subject_id=organization_id,
            requests_per_minute=per_minute,
        )


def _model(provider: Provider, key: str, kind: str, *, upstream_name: str = "", **price: Any) -> None:
    with operator_atomic("test"):
        limits = {"context_window": 100_000, "max_output_tokens": 2_000 if kind == "chat" else 20_000}
        fields = {"name": key, "kind": kind, "is_active": True, "paths": price.pop("paths", []), **limits}
        entry, created = ModelEntry.objects.update_or_create(key=key, defaults=fields)
        route = {"provider": provider, "upstream_name": upstream_name or key}
        ModelRoute.objects.update_or_create(entry=entry, defaults=route)
        if created:
            price_set(model_key=key, effective_from=timezone.now(), source="tests", **price)
