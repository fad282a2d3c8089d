"""The steps that ship; see `gateway_app.services.pipeline` for their interface."""

from django.utils import timezone
from django.utils.translation import gettext as _

from accounts_app.exceptions import AddressRefused, PermissionRefused, TenantRequired
from accounts_app.services.addresses import address_admitted
from accounts_app.services.principals import can_write
from billing_app.exceptions import ModelNotPriced
from config import tracing
from gateway_app.contracts import Ending
from gateway_app.exceptions import ModelNotFound
from gateway_app.services import bounds, metrics
from gateway_app.services.breakers import candidates_ordered
from gateway_app.services.call import Attempt, Call, Option
from gateway_app.services.limits import limiter
from gateway_app.services.pipeline import Step
from gateway_app.services.routes import unknown_model
from gateway_app.services.snapshot import ModelSnap

INFERENCE = "inference"
# A budget may make a call cheaper so many times.
MAX_OPTIONS = 3


class Authenticate(Step):
    """Nobody calls a model without an organization, nor as a viewer. Jobs of the system's own have no role."""

    async def before(self, call: Call) -> None:
        if call.tenant.organization_id is None:
            raise TenantRequired
        if call.tenant.role and not can_write(call.tenant):
            raise PermissionRefused


class Access(Step):
    """A key opens what its scopes, its list of models and the rules for addresses let it."""

    async def before(self, call: Call) -> None:
        card = call.card
        if card is None:
            return
        if INFERENCE not in card.scopes:
            raise PermissionRefused(_("This API key may not call models."))
        if not address_admitted(card.ip_rules, call.client_address):
            raise AddressRefused
        key = call.snapshot.model(call.request.model).key
        if not card.allows_model(key):
            raise ModelNotFound(_("This API key may not use the model %(model)s.") % {"model": key})


class Route(Step):
    """Find the model, freeze its price, and bound what it may cost; likewise for the cheaper ones behind it."""

    async def before(self, call: Call) -> None:
        model = call.snapshot.model(call.request.model)
        # A model's price is for its own kind of work.
        if model.kind != call.request.kind:
            raise unknown_model(model.key)
        option = _option(call, model)
        options = [option]
        while len(options) < MAX_OPTIONS and (cheaper := self._cheaper(call, options)):
            options.append(cheaper)
        call.options = tuple(options)

    @staticmethod
    def _cheaper(call: Call, options: list[Option]) -> Option | None:
        model = call.snapshot.models.get(options[-1].model.fallback_key)
        if model is None or model.kind != options[0].model.kind:
            return None
        if model in [option.model for option in options] or not _may(call, model):
            return None
        try:
            return _option(call, model)
        except ModelNotPriced:  # what has no price is no cheaper way, and no reason to refuse the one asked for
            return None


class Limits(Step):
    """Requests and tokens a minute. Tokens are taken at their most, and put right when the call has ended."""

    async def before(self, call: Call) -> None:
        if not call.limits:
            return
        most = call.options[0].input_tokens + call.options[0].max_tokens
        call.allowance = await limiter().take(call.organization_id, call.limits, most)
        if not call.allowance.allowed:
            raise call.allowance.refusal()

    async def after(self, call: Call, ending: Ending) -> None:
        if call.allowance is None or not call.allowance.allowed:
            return
        if call.settlement is None:
            await limiter().give_back(call.allowance)
        else:
            used = call.outcome.reported or call.outcome.delivered
            await limiter().correct(call.allowance, used.total)


class Count(Step):
    """Counts for the graphs, and a span for each try at a provider."""

    async def after(self, call: Call, ending: Ending) -> None:
        if call.settlement is None:
            return
        metrics.call_settled(
            model=call.model_key,
            ending=ending.value,
            tokens=call.outcome.reported or call.outcome.delivered,
            cost_usd=call.settlement.cost_usd,
            charged_usd=call.settlement.charged_usd,
            first_token_ms=call.outcome.first_token_ms,
        )
        for attempt in call.attempts:
            metrics.attempt_counted(provider=attempt.provider, outcome=attempt.status.value)
            if tracing.ENDPOINT:
                self._span(call, attempt)

    @staticmethod
    def _span(call: Call, attempt: Attempt) -> None:
        tracing.past(
            "provider call",
            (attempt.latency_ms or 0) / 1000,
            trace_id=call.trace_id,
            ended_at=attempt.ended_at,
            attributes={
                "provider": attempt.provider,
                "model": call.model_key,
                "attempt": attempt.number,
                "outcome": attempt.status.value,
                "http.response.status_code": attempt.http_status or 0,
            },
        )


def _may(call: Call, model: ModelSnap) -> bool:
    return call.card is None or call.card.allows_model(model.key)


def _option(call: Call, model: ModelSnap) -> Option:
    price = call.snapshot.price(model.key, timezone.now())
    read, written = bounds.input_bound(call.request, model), bounds.output_bound(call.request, model)
    return Option(
        model=model,
        price=price,
        candidates=tuple(candidates_ordered(model)),
        input_tokens=read,
        max_tokens=written,
        amount=bounds.hold_amount(price, call.request, input_tokens=read, max_tokens=written),
    )
