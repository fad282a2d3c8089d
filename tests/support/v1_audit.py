"""The books of callers against the upstream's own, call by call, under the rule of docs/charging.md."""

import json
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID

from accounts_app.tenancy.context import NOBODY, bound
from billing_app.contracts import TokenBuckets
from billing_app.models import Hold
from billing_app.services.checks import ledger_check, ledger_snapshot
from gateway_app.models import GatewayCall
from gateway_app.services import tokens
from tests.factories.gateway import cost
from tests.factories.wire import EMBEDDING_USD
from tests.support.gateway import Books, books
from tests.support.upstream import Served, Tally
from tests.support.v1_load import EMBEDDING, Seen

# An empty answer costs nothing, and is asked for anew.
_WHOLE = ("completed", "no_usage")
_NOTHING = (0, 0)
# Once: given back, captured whole, or captured with the rest given back.
_RESOLVED = (["release"], ["capture"], ["capture", "release"])


@dataclass
class Audit:
    """What was compared. ``expected``: the upstream's books under the rule; all three sums are to be the same."""

    books: Books
    ledger: Decimal
    usage: Decimal
    expected: Decimal = Decimal(0)
    endings: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    @property
    def difference(self) -> Decimal:
        """The greatest difference between any two of the three, in USD."""
        sums = (self.ledger, self.usage, self.expected)
        return max(sums) - min(sums)


def audit(
    organization_id: UUID,
    tally: dict[str, Tally],
    seen: list[Seen],
    *,
    paid_in: Decimal,
    reports: dict[str, TokenBuckets] | None = None,
) -> Audit:
    """Compare everything. ``reports``: what the provider's report told of calls whose process was killed."""
    now = books(organization_id)
    found = Audit(
        now,
        ledger=paid_in - now.balance,
        usage=sum((row.charged_usd for row in now.usage), Decimal(0)),
    )
    _open(found)
    _calls(found, tally, reports or {})
    _operations(found)
    _seen(found, seen)
    with bound(NOBODY), ledger_snapshot(organization_id):
        found.faults += [f"check_ledger: {difference}" for difference in ledger_check().differences]
    return found


def _open(found: Audit) -> None:
    now = found.books
    found.faults += [f"open hold {hold.pk}" for hold in now.holds if hold.status == "open"]
    found.faults += [f"{call.status} call {call.pk}" for call in now.calls if call.status != "settled"]
    found.faults += [f"hold {hold.pk}: {kinds}" for hold, kinds in _resolutions(now) if kinds not in _RESOLVED]
    if now.frozen:
        found.faults.append(f"{now.frozen} USD are frozen")
    if now.captured != found.ledger:
        found.faults.append(f"captured {now.captured}, gone from the wallet {found.ledger}")


def _resolutions(now: Books) -> list[tuple[Hold, list[str]]]:
    """Return each hold with the kinds of entries that resolved it."""
    kinds: dict[UUID, list[str]] = {hold.pk: [] for hold in now.holds}
    for row in now.transactions:
        if row.hold_id is not None and row.kind != "hold":
            kinds[row.hold_id].append(str(row.kind))
    return [(hold, sorted(kinds[hold.pk])) for hold in now.holds]


def _calls(found: Audit, tally: dict[str, Tally], reports: dict[str, TokenBuckets]) -> None:
    usage = {row.call_id: row for row in found.books.usage}
    rows = {str(row.pk): row for row in found.books.calls}
    found.faults += [f"nobody booked what was served as {unknown}" for unknown in set(tally) - set(rows)]
    found.faults += [f"usage without a call: {unknown}" for unknown in set(usage) - {row.pk for row in rows.values()}]
    for call_id, row in rows.items():
        found.endings[row.ending] = found.endings.get(row.ending, 0) + 1
        record = usage.get(row.pk)
        if record is None or (record.tokens, record.charged_usd) != (row.tokens, row.charged_usd):
            found.faults.append(f"usage of call {call_id} differs: {record}")
        due = _due(row, tally.get(call_id), reports.get(call_id))
        if due is None or due != row.charged_usd:
            found.faults.append(
                f"call {call_id} ended {row.ending}, charged {row.charged_usd} for {row.tokens}, due {due};"
                f" served {tally[call_id].tries if call_id in tally else None}"
            )
        found.expected += row.charged_usd if due is None else due


def _due(row: GatewayCall, tally: Tally | None, report: TokenBuckets | None) -> Decimal | None:
    """Return what the call is to cost by the upstream's books; None when these tell of something else."""
    counted = (row.tokens.input_total, row.tokens.output_total)
    if row.ending in ("refused", "zero_output"):
        return Decimal(0)
    if row.ending == "worker_killed":
        told = (report.input_total, report.output_total) if report else _NOTHING
        return _price(row, told) if counted == told else None
    if tally is None:
        return Decimal(0) if counted == _NOTHING else None
    return _price(row, counted) if counted in _possible(row, tally.last) else None


def _possible(row: GatewayCall, served: Served) -> list[tuple[int, int]]:
    """Return the pairs of tokens, read and written, that the rule allows."""
    told = [_told(served)] if served.is_usage_told else []
    if row.ending == "completed":
        return told
    read = _input_estimate(row, served)
    prefixes = [_NOTHING]
    written = tokens.Tally()
    for text in served.texts:
        written.add(text)
        prefixes.append((read, written.tokens))
    if row.ending == "no_usage":
        return [(read, prefixes[-1][1])]
    if row.ending in ("client_gone", "timeout"):
        # What was read before the caller left, or the time was over: any part of what was sent.
        return told + prefixes
    return told + prefixes[-1:]


def _told(served: Served) -> tuple[int, int]:
    assert served.usage is not None
    usage = tokens.usage_buckets(served.usage)
    return usage.input_total, usage.output_total


def _input_estimate(row: GatewayCall, served: Served) -> int:
    body = served.body
    if row.endpoint == "chat/completions":
        return sum(4 + tokens.estimate(message["content"]) for message in body["messages"])
    if row.endpoint == "completions":
        return tokens.estimate(body["prompt"])
    return tokens.estimate(body["input"]) + (4 if row.endpoint == "responses" else 0)


def _price(row: GatewayCall, counted: tuple[int, int]) -> Decimal:
    if row.model == EMBEDDING:
        return EMBEDDING_USD * counted[0] / 1_000_000
    return cost(*counted)


def _operations(found: Audit) -> None:
    """An operation is answered whole once at most, however often it was asked for."""
    whole = [row.operation_key for row in found.books.calls if row.operation_key and row.ending in _WHOLE]
    found.faults += [f"{key} was answered {whole.count(key)} times" for key in set(whole) if whole.count(key) > 1]


def _seen(found: Audit, seen: list[Seen]) -> None:
    """Who read an answer to its end was told what its call says."""
    rows = {row.trace_id: row for row in found.books.calls}
    for one in seen:
        row = rows.get(one.trace_id)
        if row is None or one.status != 200 or not one.is_whole or row.ending not in ("completed", "no_usage"):
            continue
        told = _usage_told(one)
        if told and tokens.usage_buckets(told) != row.tokens:
            found.faults.append(f"call {row.pk}: the caller was told {told}, booked are {row.tokens}")


def _usage_told(one: Seen) -> dict[str, Any]:
    if not one.draw.fields.get("stream"):
        return dict(json.loads(one.body).get("usage") or {})
    last = next(iter(one.events()[-1:]), {})
    return dict(last.get("usage") or last.get("response", {}).get("usage") or {})
