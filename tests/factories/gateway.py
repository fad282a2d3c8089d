"""Rows and requests for tests that call a model."""

import json
from decimal import Decimal
from typing import Any
from uuid import uuid4

from django.utils import timezone

from accounts_app.tenancy.context import operator_atomic
from billing_app.services.prices import price_set
from billing_app.services.provider_reports import report_import
from gateway_app.contracts import ChatRequest
from gateway_app.models import ModelEntry, ModelRoute, Provider
from gateway_app.services.routes import Candidate, Endpoint
from gateway_app.services.snapshot import ModelSnap

# What the scripted models cost: USD per 1,000,000 tokens.
INPUT_USD, CACHED_USD, OUTPUT_USD = Decimal("1.00"), Decimal("0.25"), Decimal("4.00")
SWITCHES = (
    "",
    "slow=5",
    "slow=30",
    "429",
    "500",
    "refuse",
    "reset",
    "cut",
    "nousage",
    "hang",
    "stall",
    "zero",
    "tools",
)


def scripted_provider(url: str, *, key: str = "scripted") -> Provider:
    """Point the provider ``key`` at a scripted upstream, with time limits short enough for tests."""
    with operator_atomic("test"):
        limits = {"first_token_timeout_ms": 3_000, "between_tokens_timeout_ms": 3_000, "total_timeout_ms": 30_000}
        fields = {"name": "Scripted", "base_url": url, "is_active": True, **limits}
        return Provider.objects.update_or_create(key=key, defaults=fields)[0]


def scripted_model(provider: Provider, key: str, *, max_output_tokens: int = 2_000) -> ModelEntry:
    """Add an active, priced model; the scripted upstream obeys the switches in its name."""
    with operator_atomic("test"):
        fields = {"name": key, "is_active": True}
        limits = {"context_window": 100_000, "max_output_tokens": max_output_tokens}
        entry, created = ModelEntry.objects.update_or_create(key=key, defaults={**fields, **limits})
        ModelRoute.objects.update_or_create(entry=entry, defaults={"provider": provider, "upstream_name": key})
        if created:
            price_set(
                model_key=key,
                input=INPUT_USD,
                cached_input=CACHED_USD,
                output=OUTPUT_USD,
                effective_from=timezone.now(),
                source="tests",
            )
        return entry


def scripted_catalogue(url: str) -> None:
    """Add the provider ``scripted`` with the model ``scripted`` and one for each switch (``scripted--500`` …)."""
    provider = scripted_provider(url)
    for switch in SWITCHES:
        scripted_model(provider, f"scripted--{switch}" if switch else "scripted")


def chat_request(text: str = "I want an article about green tea", **fields: Any) -> ChatRequest:
    """Return a request with a new operation key."""
    messages = ({"role": "user", "content": text},)
    values: dict[str, Any] = {
        "messages": messages,
        "operation_key": f"test:{uuid4()}",
        "model": "scripted",
        **fields,
    }
    return ChatRequest(**values)


def cost(input_tokens: int, output_tokens: int) -> Decimal:
    """Return what so many tokens of a scripted model cost."""
    return (input_tokens * INPUT_USD + output_tokens * OUTPUT_USD) / 1_000_000


def provider_report(provider: str, calls: dict[str, tuple[int, int]]) -> None:
    """Import a provider's report: input and output tokens by our call's id."""
    day = timezone.now().date().isoformat()
    rows = [
        {"call_id": call_id, "day": day, "model": "scripted", "input_tokens": read, "output_tokens": written}
        for call_id, (read, written) in calls.items()
    ]
    with operator_atomic("test"):
        report_import(provider=provider, name="report.json", text=json.dumps(rows))


def candidate(provider: str, *, priority: int = 100, weight: int = 1, max_concurrency: int = 0) -> Candidate:
    """Return a way to a model that nobody answers at."""
    endpoint = Endpoint(
        provider=provider,
        url="http://127.0.0.1:9/v1",
        api_key="none",
        connect_timeout=1,
        first_token_timeout=3,
        between_tokens_timeout=3,
        total_timeout=30,
        max_concurrency=max_concurrency,
    )
    return Candidate(endpoint=endpoint, upstream_name="m", priority=priority, weight=weight)


def model_snap(*candidates: Candidate, key: str = "m", kind: str = "chat") -> ModelSnap:
    """Return a model that can be called in these ways."""
    return ModelSnap(
        key=key,
        name=key,
        kind=kind,
        context_window=100_000,
        max_output_tokens=2_000,
        is_reasoning=False,
        fallback_key="",
        paths=frozenset(),
        candidates=candidates,
        created=0,
    )
