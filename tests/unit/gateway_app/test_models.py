"""What the database itself refuses."""

from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts_app.tenancy.context import tenant_atomic
from gateway_app.models import GatewayAttempt, GatewayCall, GatewayOperation, ModelEntry, ModelRoute, Provider
from tests.factories.billing import organization_with

pytestmark = pytest.mark.django_db


def _call(organization_id: UUID, **fields: Any) -> GatewayCall:
    values: dict[str, Any] = {
        "organization_id": organization_id,
        "operation_key": uuid4().hex,
        "model": "m",
        "provider": "p",
        "max_tokens": 1,
        "price_id": uuid4(),
        "owner": "o",
        "lease_until": timezone.now(),
        **fields,
    }
    return GatewayCall.objects.create(**values)


def _refused(constraint: str, act: Callable[[], object]) -> None:
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        act()


def test_an_operation_key_stands_for_one_call() -> None:
    mine, theirs = organization_with(), organization_with()

    def operation(organization_id: UUID) -> GatewayOperation:
        key = {"organization_id": organization_id, "operation_key": "k", "request_hash": "h"}
        return GatewayOperation.objects.create(**key, call_id=uuid4())

    with tenant_atomic(mine):
        operation(mine)
        _refused("operation_key_once", lambda: operation(mine))
    with tenant_atomic(theirs):
        operation(theirs)
        assert GatewayOperation.objects.count() == 1


def test_a_settled_call_has_an_ending_and_a_dispatched_one_has_none() -> None:
    organization_id, now = organization_with(), timezone.now()
    with tenant_atomic(organization_id):
        _call(organization_id, status="settled", ending="completed", settled_at=now)
        _call(organization_id, status="unknown", unknown_at=now)
        for fields in (
            {"status": "settled"},
            {"status": "settled", "ending": "completed"},
            {"status": "settled", "ending": "vanished", "settled_at": now},
            {"ending": "completed"},
            {"settled_at": now},
            {"status": "unknown"},
            {"status": "unknown", "unknown_at": now, "ending": "completed"},
            {"unknown_at": now},
            {"status": "lost"},
        ):
            _refused("call_settled_has_ending", partial(_call, organization_id, **fields))


def test_a_call_is_never_charged_more_than_it_cost() -> None:
    organization_id = organization_with()
    with tenant_atomic(organization_id):
        _refused("call_charge_within_cost", lambda: _call(organization_id, cost_usd=1, charged_usd=2))


def test_attempts_have_a_known_status() -> None:
    organization_id = organization_with()
    with tenant_atomic(organization_id):
        call = _call(organization_id)

        def attempt(**fields: Any) -> GatewayAttempt:
            values = {"organization_id": organization_id, "call": call, "number": 1, "started_at": timezone.now()}
            return GatewayAttempt.objects.create(**values | fields)

        attempt()
        _refused("attempt_status_known", lambda: attempt(number=2, status="odd"))


def test_the_catalogue_knows_its_kinds_and_one_default() -> None:
    def model(**fields: Any) -> ModelEntry:
        values = {"key": uuid4().hex, "name": "m"}
        return ModelEntry.objects.create(**values | fields)

    ModelEntry.objects.update(is_default=False)
    model(is_default=True)
    _refused("model_one_default", lambda: model(is_default=True))
    _refused("model_kind_known", lambda: model(kind="smell"))
    itself = model()
    _refused("model_fallback_is_another", lambda: ModelEntry.objects.filter(pk=itself.pk).update(fallback=itself))
    _refused("provider_kind_known", lambda: Provider.objects.create(key="q", name="q", kind="odd"))
    _refused("provider_timeouts_positive", lambda: Provider.objects.create(key="r", name="r", total_timeout_ms=0))


def test_a_route_is_there_once_and_weighs_something() -> None:
    entry = ModelEntry.objects.create(key=uuid4().hex, name="m")
    provider = Provider.objects.create(key="p", name="p")

    def route(**fields: Any) -> ModelRoute:
        return ModelRoute.objects.create(**{"entry": entry, "provider": provider, "upstream_name": "m", **fields})

    route()
    route(upstream_name="another")
    _refused("route_once", route)
    _refused("route_weight_positive", lambda: route(upstream_name="light", weight=0))


def test_calls_and_attempts_of_others_are_not_seen() -> None:
    mine, theirs = organization_with(), organization_with()
    with tenant_atomic(theirs):
        call = _call(theirs)
        GatewayAttempt.objects.create(organization_id=theirs, call=call, number=1, started_at=timezone.now())
    with tenant_atomic(mine):
        assert (GatewayCall.objects.count(), GatewayAttempt.objects.count()) == (0, 0)
        assert GatewayCall.objects.filter(pk=call.pk).update(model="x") == 0
