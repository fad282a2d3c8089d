"""Make calls on both roads, and read the books afterwards."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from decimal import Decimal
from uuid import UUID

from accounts_app.exceptions import DeepSpaceError
from accounts_app.tenancy.context import NOBODY, bound, tenant_atomic
from billing_app.models import Hold, Transaction, UsageRecord, Wallet
from billing_app.services.checks import ledger_check, ledger_snapshot
from gateway_app.contracts import ChatRequest, ChatResult
from gateway_app.models import GatewayAttempt, GatewayCall
from gateway_app.services.chat import achat_stream, chat_stream
from gateway_app.services.clients import async_clients_close


@dataclass
class Outcome:
    """What the caller saw."""

    texts: list[str] = field(default_factory=list)
    result: ChatResult | None = None
    error: DeepSpaceError | None = None

    @property
    def text(self) -> str:
        return "".join(self.texts)


Road = Callable[..., Outcome]
# Within it the database refuses every usage record.
BooksClosed = Callable[[], AbstractContextManager[None]]


def by_thread(
    request: ChatRequest, *, leave_after: int | None = None, should_stop: Callable[[], bool] | None = None
) -> Outcome:
    """Call on the synchronous road; leave after that many deltas."""
    outcome = Outcome()
    try:
        with chat_stream(request, should_stop) as stream:
            for text in stream:
                outcome.texts.append(text)
                if len(outcome.texts) == leave_after:
                    break
        outcome.result = stream.result
    except DeepSpaceError as error:
        outcome.error = error
    return outcome


def by_loop(request: ChatRequest, *, leave_after: int | None = None) -> Outcome:
    """The same on the asynchronous road, in an event loop of its own."""
    return asyncio.run(_by_loop(request, leave_after))


async def _by_loop(request: ChatRequest, leave_after: int | None) -> Outcome:
    try:
        return await acall(request, leave_after=leave_after)
    finally:
        await async_clients_close()


async def acall(request: ChatRequest, *, leave_after: int | None = None, outcome: Outcome | None = None) -> Outcome:
    """Call on the asynchronous road in the running loop; ``outcome`` fills as it comes."""
    outcome = outcome or Outcome()
    try:
        async with achat_stream(request) as stream:
            async for text in stream:
                outcome.texts.append(text)
                if len(outcome.texts) == leave_after:
                    break
        outcome.result = stream.result
    except DeepSpaceError as error:
        outcome.error = error
    return outcome


@dataclass(frozen=True)
class Books:
    """An organization's rows, as they stand."""

    balance: Decimal
    frozen: Decimal
    holds: list[Hold]
    transactions: list[Transaction]
    usage: list[UsageRecord]
    calls: list[GatewayCall]
    attempts: list[GatewayAttempt]

    @property
    def call(self) -> GatewayCall:
        """The only call."""
        (call,) = self.calls
        return call

    @property
    def captured(self) -> Decimal:
        return sum((hold.captured for hold in self.holds), Decimal(0))

    def resolutions(self, hold: Hold) -> list[str]:
        """How the hold was resolved: a capture, or a release; the rest of a capture is no second resolution."""
        kinds = [str(row.kind) for row in self.transactions if row.hold_id == hold.pk and row.kind != "hold"]
        return ["capture"] if "capture" in kinds else kinds


def books(organization_id: UUID) -> Books:
    """Read the organization's books."""
    with tenant_atomic(organization_id):
        wallet = Wallet.objects.get(organization_id=organization_id)
        return Books(
            balance=wallet.balance,
            frozen=wallet.frozen,
            holds=list(Hold.objects.filter(organization_id=organization_id)),
            transactions=list(Transaction.objects.filter(organization_id=organization_id).order_by("seq")),
            usage=list(UsageRecord.objects.filter(organization_id=organization_id)),
            calls=list(GatewayCall.objects.filter(organization_id=organization_id).order_by("created_at")),
            attempts=list(GatewayAttempt.objects.filter(organization_id=organization_id).order_by("call", "number")),
        )


def assert_settled(organization_id: UUID, *, paid_in: str = "10") -> Books:
    """Assert that nothing is open and that wallet, holds, calls and usage say the same; return the books."""
    now = books(organization_id)
    assert now.frozen == 0
    assert [hold.status for hold in now.holds if hold.status == "open"] == []
    assert [call.status for call in now.calls if call.status != "settled"] == []
    assert all(len(now.resolutions(hold)) == 1 for hold in now.holds)
    assert now.balance == Decimal(paid_in) - now.captured
    assert now.captured == sum((call.charged_usd for call in now.calls), Decimal(0))
    assert _figures(now.usage) == _figures_of_calls(now.calls)
    with bound(NOBODY), ledger_snapshot(organization_id):
        assert ledger_check().differences == ()
    return now


def _figures(usage: list[UsageRecord]) -> dict[UUID, tuple[object, ...]]:
    return {row.call_id: (row.tokens, row.cost_usd, row.charged_usd, row.ending) for row in usage}


def _figures_of_calls(calls: list[GatewayCall]) -> dict[UUID, tuple[object, ...]]:
    return {row.pk: (row.tokens, row.cost_usd, row.charged_usd, row.ending) for row in calls}
