"""A run of mixed calls against servers of /v1, with a kill in its middle, and the audit of what it left behind."""

import asyncio
import re
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from decimal import Decimal
from uuid import UUID

from django.db import OperationalError
from django.test import override_settings
from django.utils import timezone

from accounts_app.tenancy.context import operator_atomic, operator_context
from billing_app.contracts import TokenBuckets
from billing_app.services.prices import price_set
from billing_app.services.provider_reports import report_import
from gateway_app.models import ModelEntry, ModelRoute, Provider
from gateway_app.services import tokens
from gateway_app.services.recovery import call_abandon, calls_resolve, is_abandoned
from tests.factories.gateway import CACHED_USD, INPUT_USD, OUTPUT_USD
from tests.factories.wire import EMBEDDING_USD
from tests.support.gateway import books
from tests.support.upstream import Behaviour, Faults, ScriptedUpstream, Served, Tally
from tests.support.v1_audit import Audit, audit
from tests.support.v1_load import CHAT, EMBEDDING, Draw, Seen, load

_MARK = re.compile(rb"mark-\d+-\d+-")
_SETTLE_SECONDS = 60


def money_catalogue(url: str) -> None:
    """Add the models of the runs: each at two providers, whose time limits are short."""
    limits = {"first_token_timeout_ms": 1_000, "between_tokens_timeout_ms": 800, "total_timeout_ms": 2_500}
    with operator_atomic("test"):
        providers = [
            Provider.objects.update_or_create(
                key=key, defaults={"name": key, "base_url": url, "is_active": True, **limits}
            )[0]
            for key in ("money-one", "money-two")
        ]
        for model, kind in ((CHAT, "chat"), (EMBEDDING, "embedding")):
            fields = {"name": model, "kind": kind, "is_active": True, "context_window": 100_000}
            defaults = {**fields, "max_output_tokens": 200}
            entry, created = ModelEntry.objects.update_or_create(key=model, defaults=defaults)
            for provider in providers:
                ModelRoute.objects.update_or_create(entry=entry, provider=provider, defaults={"upstream_name": model})
            if created:
                is_chat = kind == "chat"
                price_set(
                    model_key=model,
                    input=INPUT_USD if is_chat else EMBEDDING_USD,
                    cached_input=CACHED_USD if is_chat else None,
                    output=OUTPUT_USD if is_chat else Decimal(0),
                    effective_from=timezone.now(),
                    source="tests",
                )


def faults_plan(seed: int) -> Callable[[Served], Behaviour | None]:
    """Let the upstream fail as the lot says, by the mark in each request."""
    faults = Faults(seed)

    def plan(served: Served) -> Behaviour | None:
        mark = _MARK.search(served.raw_body)
        return faults(mark[0].decode(), served.number) if mark else None

    return plan


def run(
    calls: Sequence[Draw],
    ports: Sequence[int],
    secret: str,
    *,
    at_once: int = 50,
    disaster: Callable[[], None] | None = None,
    upstream: ScriptedUpstream | None = None,
) -> list[Seen]:
    """Make the calls; ``disaster`` happens when half of them have reached the upstream."""

    with ThreadPoolExecutor(1) as beside:
        running = beside.submit(asyncio.run, load(calls, ports, secret, at_once=at_once))
        if disaster is not None and upstream is not None:
            while len(upstream.served) < len(calls) // 2 and not running.done():
                time.sleep(0.05)
            # Here, not beside: what it starts again lives as long as the thread that starts it.
            disaster()
        return running.result()


def settled(organization_id: UUID) -> None:
    """Wait until no call is open: living processes settle theirs, those of dead ones are given up, as unknown."""
    deadline = time.monotonic() + _SETTLE_SECONDS
    while time.monotonic() < deadline:
        dispatched = [call for call in books(organization_id).calls if call.status == "dispatched"]
        if not dispatched:
            return
        with suppress(OperationalError), operator_context("test"), override_settings(GATEWAY_UNKNOWN_SECONDS=3600):
            for row in dispatched:
                # Their leases last longer than a test; that a process is gone is seen on its own machine.
                if is_abandoned(row):
                    call_abandon(row)
        time.sleep(0.2)


def finished(
    organization_id: UUID,
    upstream: ScriptedUpstream,
    seen: list[Seen],
    *,
    paid_in: Decimal,
    resolve: Callable[[dict[str, Tally], dict[str, TokenBuckets]], None] | None = None,
) -> Audit:
    """Wait for the end of all calls, resolve what is unknown by the upstream's report, and compare the books."""
    settled(organization_id)
    tally = upstream.tally()
    unknown = {str(call.pk) for call in books(organization_id).calls if call.status == "unknown"}
    reports = {call_id: bill(tally[call_id]) for call_id in unknown if call_id in tally}
    if resolve is not None:
        resolve({call_id: tally[call_id] for call_id in reports}, reports)
    return audit(organization_id, tally, seen, paid_in=paid_in, reports=reports)


def bill(tally: Tally) -> TokenBuckets:
    """Return what the provider's report tells of a request: what it told, or what it had worked so far."""
    last = tally.last
    if last.usage is not None:
        return tokens.usage_buckets(last.usage)
    is_worked = last.status == 200 and last.outcome != "reset" and last.completion_tokens
    return TokenBuckets(input=last.prompt_tokens, output=last.completion_tokens) if is_worked else TokenBuckets()


def import_report(tally: dict[str, Tally], reports: dict[str, TokenBuckets]) -> None:
    """Read the upstream's report in, and resolve what it tells of; what it says nothing of brought nothing."""
    lines = ["day,model,call_id,request_id,input_tokens,output_tokens"]
    for call_id, tokens_told in reports.items():
        last = tally[call_id].last
        counts = f"{tokens_told.input_total},{tokens_told.output_total}"
        lines.append(f"{timezone.now():%Y-%m-%d},{last.model},{call_id},{last.request_id},{counts}")
    with operator_context("test"):
        if reports:
            report_import(provider="money-one", name="report.csv", text="\n".join(lines) + "\n")
        calls_resolve()
        with override_settings(GATEWAY_UNKNOWN_SECONDS=0):
            calls_resolve()
