"""What is written of a call, and what the answers mean. Pure: `gateway_app.services.pipeline` does the writing.

The items are those of `gateway_books` (gateway_app/sql).
"""

from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

from accounts_app.exceptions import DeepSpaceError, DependencyDown
from billing_app.contracts import UsageEntry
from billing_app.exceptions import BudgetExceeded, InsufficientFunds
from billing_app.services.usage import usage_announce
from gateway_app.contracts import Ending, Settlement
from gateway_app.exceptions import CacheStale, CallInProgress, CallTakenOver, OperationConflict
from gateway_app.models import AttemptStatus
from gateway_app.services.books import Answer, Item, Row
from gateway_app.services.bounds import hold_amount
from gateway_app.services.call import Attempt, Call, Option
from gateway_app.services.charging import charge_for
from gateway_app.services.rows import answer_row, attempt_row, call_row, charge_row, option_row, usage_row

# Seconds that a lease adds to the longest wait that it covers.
LEASE_MARGIN = 30.0
# An answer that outgrows its hold is given this much more at a time, so that long ones do not write at every token.
EXTENSION = 1.5
# So many times what is held for a call is plenty.
PLENTY = 100


def opening(call: Call) -> Item:
    """The item that begins ``call``: its row, and what may be held for it."""
    first, *cheaper = call.options
    call.attempts = [Attempt(number=1, provider=first.candidates[0].endpoint.provider)]
    row = call_row(call) | option_row(first)
    row["lease_seconds"] = _first_wait(call, first) + LEASE_MARGIN
    if cheaper:
        row["cheaper"] = [option_row(option) for option in cheaper]
    return Item("open", call.organization_id, row, _revisions(call))


def opened(call: Call, answer: Answer) -> None:
    """Take what came of the opening; raises what refused it."""
    match answer["outcome"]:
        case "held":
            _begin(call, answer)
        case "replay":
            call.replayed = UUID(answer["call"])
        case outcome:
            raise _refusal(outcome)


def may_be_open(call: Call) -> bool:
    """Whether the database was asked to open ``call``."""
    return bool(call.attempts)


def unopened(call: Call) -> Ending:
    """Prepare for the settlement of ``call``, which may be open or not, and was sent to nobody; return its ending."""
    call.option = call.option or call.options[0]
    call.candidates = list(call.option.candidates)
    call.outcome.error_code = DependencyDown.code
    return Ending.REFUSED


def settlement(call: Call, ending: Ending) -> Item:
    """The item that ends ``call`` as ``call.outcome`` says. The same each time it is asked for, but for the time."""
    outcome, attempt = call.outcome, call.attempts[-1]
    charge = charge_for(
        ending,
        reported=outcome.reported,
        delivered=outcome.delivered,
        price=call.price,
        images=outcome.images,
        image_tier=call.request.image_tier,
    )
    if attempt.status == AttemptStatus.RUNNING:
        attempt.end(_last_status(ending), error=outcome.error_code)
    call.settlement = Settlement(cost_usd=charge.cost_usd, charged_usd=Decimal(0))
    call.charged_tokens = charge.tokens
    row: Row = (
        usage_row(call)
        | charge_row(charge, ending)
        | {
            "id": call.id,
            "hold": call.hold_id,
            "held": call.hold_usd,
            "key": f"settle:{call.id}",
            "trace": call.trace_id,
            "error_code": outcome.error_code,
            "images": outcome.images,
            "first_token_ms": outcome.first_token_ms,
            "latency_ms": call.latency_ms,
            "finish_reason": outcome.finish_reason[:40],
            "attempt": attempt_row(call, attempt),
            "answer": answer_row(call),
        }
    )
    return Item("settle", call.organization_id, row)


def foreseen(call: Call, item: Item) -> Settlement | None:
    """What a settlement will come to, so that nobody need wait for it; None where only the books can tell.

    What is held can be captured, whatever else happens to the wallet; more than that cannot always. And the answer of
    an operation is given once it is kept, so that it is never asked for twice.
    """
    due = item.row["due"]
    if call.request.operation_key or call.balance_usd is None or due > call.hold_usd:
        return None
    balance = call.balance_usd + call.hold_usd - due
    return Settlement(cost_usd=item.row["cost_usd"], charged_usd=due, balance_usd=balance)


def leaves_plenty(call: Call) -> bool:
    """Whether the wallet had many times over what is held for ``call``: who else spends of it misses none of that."""
    return call.balance_usd is not None and call.balance_usd >= call.hold_usd * PLENTY


def settled(call: Call, ending: Ending, answer: Answer) -> Settlement:
    """Take what came of the settlement; raises CallTakenOver."""
    if answer["outcome"] == "taken_over":
        raise CallTakenOver
    assert call.settlement
    if "balance" in answer:
        call.balance_usd = Decimal(answer["balance"]) - Decimal(answer["frozen"])
    call.settlement = Settlement(
        cost_usd=call.settlement.cost_usd, charged_usd=Decimal(answer["charged"]), balance_usd=call.balance_usd
    )
    return call.settlement


def announce(call: Call, ending: Ending) -> None:
    """Tell the rooms above of the usage, within the settlement's transaction."""
    assert call.settlement
    request = call.request
    usage_announce(
        UsageEntry(
            id=call.id,
            organization_id=call.organization_id,
            call_id=call.id,
            model=call.model_key,
            provider=call.endpoint.provider,
            tokens=call.charged_tokens,
            cost_usd=call.settlement.cost_usd,
            charged_usd=call.settlement.charged_usd,
            ending=ending.value,
            price_id=call.price.id,
            created_at=datetime.now(UTC),
            user_id=call.tenant.user_id,
            task_id=request.task_id,
            run_id=request.run_id,
            step_key=request.step_key,
            prompt_version_id=request.prompt_version_id,
            trace_id=call.trace_id,
        )
    )


def retry_next(call: Call, *, error: str, http_status: int | None, upstream_request_id: str) -> None:
    """End the present try and begin the next: at the next candidate, or at the only one again."""
    tried = call.attempts[-1]
    tried.upstream_request_id = upstream_request_id
    tried.end(AttemptStatus.FAILED, http_status=http_status, error=error)
    if len(call.candidates) > 1:
        call.candidates.append(call.candidates.pop(0))
    call.attempts.append(Attempt(number=tried.number + 1, provider=call.endpoint.provider))


def retrying(call: Call) -> Item:
    """The item that stores how the last try ended, and where the present one goes."""
    tried, present = call.attempts[-2:]
    row = _lease_row(call, _first_wait(call, call.chosen))
    row |= {"attempt": attempt_row(call, tried), "provider": present.provider}
    return Item("retry", call.organization_id, row)


def leasing(call: Call, wait: float) -> Item:
    """The item that lets the call's lease outlast a wait of that many seconds."""
    return Item("lease", call.organization_id, _lease_row(call, wait))


def leased(call: Call, answer: Answer) -> None:
    """Take what came of a renewed lease; raises CallTakenOver."""
    if answer["outcome"] == "taken_over":
        raise CallTakenOver
    wait = call.endpoint.between_tokens_timeout if call.request.is_stream else call.endpoint.total_timeout
    call.lease_seconds(wait + LEASE_MARGIN)


def extending(call: Call, output_tokens: int) -> Item:
    """The item that holds enough for ``output_tokens`` of output, and some more."""
    more = round(output_tokens * EXTENSION)
    amount = hold_amount(call.price, call.request, input_tokens=call.chosen.input_tokens, max_tokens=more)
    row = _lease_row(call, call.endpoint.between_tokens_timeout)
    row |= {"hold": call.hold_id, "amount": max(amount, call.hold_usd), "trace": call.trace_id}
    return Item("extend", call.organization_id, row)


def extended(call: Call, answer: Answer) -> bool:
    """Take what came of the extension; raises CallTakenOver."""
    if answer["outcome"] in ("resolved", "not_found"):
        raise CallTakenOver
    if answer["outcome"] != "extended":
        return False
    call.hold_usd = Decimal(answer["amount"])
    return True


def _revisions(call: Call) -> dict[str, int] | None:
    """What the caller decided by, as old as it is; None for our own rooms, which read it afresh for each call."""
    if call.card is None:
        return None
    return {
        "policy": call.card.policy_revision,
        "ip_rules": call.card.ip_revision,
        "catalogue": call.snapshot.catalogue_revision,
        "prices": call.snapshot.price_revision,
    }


def _lease_row(call: Call, wait: float) -> Row:
    return {"id": call.id, "user": call.tenant.user_id, "lease_seconds": wait + LEASE_MARGIN}


def _begin(call: Call, answer: Answer) -> None:
    option = call.option = call.options[answer.get("option", 0)]
    call.candidates = list(option.candidates)
    call.attempts[0].provider = call.endpoint.provider
    call.hold_usd = option.amount
    call.balance_usd = Decimal(answer["balance"]) - Decimal(answer["frozen"])
    call.lease_seconds(_first_wait(call, option) + LEASE_MARGIN)


def _refusal(outcome: str) -> Exception:
    refusals: dict[str, type[DeepSpaceError] | type[CacheStale]] = {
        "stale": CacheStale,
        "conflict": OperationConflict,
        "in_progress": CallInProgress,
        "insufficient_funds": InsufficientFunds,
        "budget_exceeded": BudgetExceeded,
    }
    return refusals[outcome]()


def _first_wait(call: Call, option: Option) -> float:
    """Seconds until something must have come: an answer that is not streamed comes all at the end."""
    endpoint = option.candidates[0].endpoint
    return endpoint.connect_timeout + (
        endpoint.first_token_timeout if call.request.is_stream else endpoint.total_timeout
    )


def _last_status(ending: Ending) -> AttemptStatus:
    return AttemptStatus.FAILED if ending in (Ending.REFUSED, Ending.TIMEOUT) else AttemptStatus.ANSWERED
