"""The steps of the pipeline; see `gateway_app.services.pipeline` for their interface."""

import time
from datetime import timedelta
from decimal import Decimal

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from accounts_app.exceptions import InvalidInput, PermissionRefused, TenantRequired
from accounts_app.services.principals import can_write
from billing_app.contracts import TokenBuckets
from billing_app.exceptions import HoldResolved, InsufficientFunds
from billing_app.services.holds import hold_capture, hold_extend, hold_release, wallet_hold
from billing_app.services.prices import price_cost, price_current
from gateway_app.contracts import Ending
from gateway_app.exceptions import CallTakenOver
from gateway_app.services import calls, tokens
from gateway_app.services.charging import charge_for
from gateway_app.services.pipeline import Call, Step
from gateway_app.services.routes import route_of

# A hold outlives its call's own time limit by this, so that only a killed worker's hold ever expires.
HOLD_MARGIN = timedelta(minutes=5)


class Authenticate(Step):
    """Nobody calls a model without an organization, nor as a viewer. Jobs of the system's own have no role."""

    def before(self, call: Call) -> None:
        if call.tenant.organization_id is None:
            raise TenantRequired
        if call.tenant.role and not can_write(call.tenant):
            raise PermissionRefused


class Policy(Step):
    """Find the model, freeze its price, and bound what it may write."""

    def before(self, call: Call) -> None:
        request = call.request
        if not request.messages or not request.operation_key:
            raise InvalidInput(_("A call needs messages and an operation key."))
        if request.max_tokens is not None and request.max_tokens < 1:
            raise InvalidInput.for_field("max_tokens", _("At least one token must be allowed."))
        with transaction.atomic(durable=True):
            call.route = route_of(request.model)
            call.price = price_current(model_key=call.route.model_key)
        asked = request.max_tokens or settings.GATEWAY_MAX_TOKENS
        call.max_tokens = min(asked, call.route.max_output_tokens or asked)


class Hold(Step):
    """Set the most that the call can cost aside, and note the operation; both are committed before dispatch.

    The same operation again is answered from what is stored, or begun anew when the earlier call brought nothing.
    """

    def before(self, call: Call) -> None:
        call.result = calls.operation_claim(call)
        if call.result is not None:
            return
        assert call.route
        with transaction.atomic(durable=True):
            calls.call_insert(call)
            hold = wallet_hold(
                organization_id=call.organization_id,
                amount=self.amount(call),
                key=f"call:{call.id}",
                billing_ref_id=str(call.id),
                expires_in=timedelta(seconds=call.route.endpoint.total_timeout) + HOLD_MARGIN,
            )
            calls.call_hold(call, hold)
        call.hold = hold

    @staticmethod
    def amount(call: Call) -> Decimal:
        """The price of the most tokens that can be read and written; never zero, not even for a free model."""
        assert call.price
        extra = {**call.request.extra, "response_format": call.request.response_format}
        bound = tokens.input_bound(call.request.messages, extra)
        dearest = "cache_write" if call.price.cache_write > call.price.input else "input"
        output = "reasoning" if call.price.reasoning > call.price.output else "output"
        cost = price_cost(call.price, TokenBuckets(**{dearest: bound, output: call.max_tokens}))
        return max(cost, Decimal("0.0000000001"))


class Settle(Step):
    """Capture what the ending's rule asks for, or release the hold."""

    def after(self, call: Call, ending: Ending) -> None:
        assert call.hold
        assert call.price
        call.latency_ms = round((time.monotonic() - call.answer.began) * 1000)
        delivered = call.answer.delivered(call.request.messages)
        charge = charge_for(ending, reported=call.answer.reported(), delivered=delivered, price=call.price)
        call.tokens, call.cost_usd = charge.tokens, charge.cost_usd
        try:
            call.charged_usd = self._take(call, charge.due_usd, ending)
        except HoldResolved as error:
            raise CallTakenOver from error
        call.shortfall_usd = charge.due_usd - call.charged_usd

    def _take(self, call: Call, due: Decimal, ending: Ending) -> Decimal:
        assert call.hold
        key = f"settle:{call.id}"
        if not due:
            hold_release(hold_id=call.hold.id, key=key, reason=ending.value)
            return Decimal(0)
        return hold_capture(hold_id=call.hold.id, amount=min(due, self._held(call, due)), key=key)

    @staticmethod
    def _held(call: Call, due: Decimal) -> Decimal:
        """What is held, after asking for more where more was used: what the wallet cannot pay is a shortfall."""
        assert call.hold
        if due <= call.hold.amount:
            return call.hold.amount
        try:
            return hold_extend(hold_id=call.hold.id, amount=due).amount
        except InsufficientFunds:
            return call.hold.amount


class Record(Step):
    """Write the call, its attempts and its usage record: with the capture, all or nothing."""

    def after(self, call: Call, ending: Ending) -> None:
        call.result = calls.call_record(call, ending)
