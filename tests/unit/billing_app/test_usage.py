"""A call is recorded once, with its price frozen and the day's roll-up beside it."""

import uuid
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from django.db import transaction
from django.dispatch import receiver
from django.utils import timezone

from accounts_app.exceptions import TenantRequired
from accounts_app.services.trace import bind_trace
from accounts_app.tenancy.context import operator_atomic, tenant_atomic
from billing_app import selectors
from billing_app.contracts import TokenBuckets, UsageEntry, UsageTotals
from billing_app.exceptions import KeyConflict
from billing_app.models import UsageDaily, UsageRecord
from billing_app.services.usage import usage_day, usage_record
from billing_app.signals import usage_recorded
from tests.factories.accounts import person
from tests.factories.billing import organization_with, price_of, usage_of

pytestmark = pytest.mark.django_db
USD = Decimal
TOKENS = TokenBuckets(input=60, cached_input=40, cache_write=8, output=7, reasoning=3)


def call(price: Any, **fields: Any) -> dict[str, Any]:
    values = {
        "call_id": uuid.uuid4(), "model": price.model_key, "provider": "scripted", "price": price, "tokens": TOKENS,
        "cost_usd": USD("0.000204"), "charged_usd": USD("0.0002"), "ending": "completed",
    }  # fmt: skip
    return values | fields


def today() -> date:
    return timezone.now().date()


def test_record_freezes_everything_about_the_call() -> None:
    ada, price = person(), price_of()
    ids = {name: uuid.uuid4() for name in ("task_id", "run_id", "prompt_version_id")}
    with ada.at_work(), bind_trace("f" * 32):
        entry = usage_record(**call(price, step_key="draft", meta={"finish_reason": "stop"}, **ids))
        row = UsageRecord.objects.get(pk=entry.id)
    assert (row.input_tokens, row.output_tokens) == (108, 10)
    assert row.entry() == entry
    assert entry.tokens == TOKENS
    assert (entry.user_id, entry.trace_id, entry.price_id) == (ada.id, "f" * 32, price.id)
    assert (entry.task_id, entry.run_id, entry.prompt_version_id) == tuple(ids.values())


def test_the_same_call_again_is_the_stored_record() -> None:
    organization_id, price = organization_with(), price_of()
    asked = call(price)
    with tenant_atomic(organization_id):
        first = usage_record(**asked)
        assert usage_record(**asked) == first
        assert selectors.totals_between(organization_id, today(), today()).calls == 1
        with pytest.raises(KeyConflict):
            usage_record(**(asked | {"cost_usd": USD(1)}))


def test_roll_up_sums_by_day_and_model() -> None:
    organization_id, first, second = organization_with(), price_of(), price_of()
    for price in (first, first, second):
        usage_of(organization_id, price, tokens=TOKENS, cost_usd=USD("0.1"), charged_usd=USD("0.05"))
    with tenant_atomic(organization_id):
        row = UsageDaily.objects.get(model=first.model_key)
        assert (row.day, row.calls, row.input_tokens, row.output_tokens) == (today(), 2, 216, 20)
        assert (row.cost_usd, row.charged_usd) == (USD("0.2"), USD("0.1"))
        assert UsageDaily.objects.count() == 2


def test_rooms_above_are_told_in_the_same_transaction() -> None:
    organization_id, price, run_id = organization_with(), price_of(), uuid.uuid4()
    told: list[tuple[UsageEntry, UUID | None, UUID | None]] = []

    @receiver(usage_recorded)
    def on_usage(*, usage: UsageEntry, task_id: UUID | None, run_id: UUID | None, **_signal: Any) -> None:
        assert transaction.get_connection().in_atomic_block
        told.append((usage, task_id, run_id))

    asked = call(price, run_id=run_id)
    with tenant_atomic(organization_id):
        entry = usage_record(**asked)
        usage_record(**asked)
    assert told == [(entry, None, run_id)]


def test_a_failing_receiver_leaves_nothing_behind() -> None:
    organization_id, price = organization_with(), price_of()

    @receiver(usage_recorded)
    def on_usage(**_signal: Any) -> None:
        raise ZeroDivisionError

    with tenant_atomic(organization_id):
        with pytest.raises(ZeroDivisionError):
            usage_record(**call(price))
        assert UsageRecord.objects.count() == UsageDaily.objects.count() == 0


def test_an_operator_job_names_the_organization_it_records_for() -> None:
    organization_id, price = organization_with(), price_of()
    with operator_atomic("reaper"):
        entry = usage_record(**call(price), organization_id=organization_id)
        with pytest.raises(TenantRequired):
            usage_record(**call(price))
    assert entry.organization_id == organization_id


def test_floats_are_refused() -> None:
    organization_id, price = organization_with(), price_of()
    with tenant_atomic(organization_id), pytest.raises(TypeError):
        usage_record(**call(price, cost_usd=0.1))


def test_recording_is_one_statement(django_assert_num_queries: Any) -> None:
    """Besides savepoint and release of the frame that the receivers share: record and roll-ups together."""
    organization_id, price = organization_with(), price_of()
    with tenant_atomic(organization_id), django_assert_num_queries(3):
        usage_record(**call(price))


def roll_up(organization_id: UUID, day: date, model: str, charged: str) -> None:
    with tenant_atomic(organization_id):
        UsageDaily.objects.create(
            organization_id=organization_id, day=day, model=model, calls=1, input_tokens=2, output_tokens=3,
            cost_usd=USD(charged) * 2, charged_usd=USD(charged),
        )  # fmt: skip


def test_sums_of_a_period_include_both_ends_and_fill_empty_days() -> None:
    organization_id = organization_with()
    monday = date(2026, 11, 16)
    for offset, model, charged in [(-1, "a", "8"), (0, "a", "1"), (2, "a", "2"), (2, "b", "5"), (3, "b", "16")]:
        roll_up(organization_id, monday + timedelta(days=offset), model, charged)
    with tenant_atomic(organization_id):
        end = monday + timedelta(days=2)
        assert selectors.cost_between(organization_id, monday, end) == USD(16)
        assert selectors.totals_between(organization_id, monday, end) == UsageTotals(3, 6, 9, USD(16), USD(8))
        by_day = selectors.spend_by_day(organization_id, monday, end)
        assert [(item.day.day, item.totals.calls, item.totals.charged_usd) for item in by_day] == [
            (16, 1, USD(1)), (17, 0, USD(0)), (18, 2, USD(7)),
        ]  # fmt: skip
        by_model = selectors.spend_by_model(organization_id, monday, end)
        assert [(item.model, item.totals.charged_usd) for item in by_model] == [("b", USD(5)), ("a", USD(3))]
        empty = monday + timedelta(days=40)
        assert selectors.cost_between(organization_id, empty, empty) == 0
        assert selectors.totals_between(organization_id, empty, empty) == UsageTotals()


def test_dashboards_never_read_the_usage_table(django_assert_num_queries: Any) -> None:
    organization_id = organization_with()
    with tenant_atomic(organization_id):
        for read in (selectors.cost_between, selectors.spend_by_day, selectors.spend_by_model):
            with django_assert_num_queries(1) as queries:
                read(organization_id, today(), today())
            assert "openai_usage" not in queries[0]["sql"]


def test_a_tasks_usage_is_the_sum_of_its_calls() -> None:
    organization_id, price, task_id = organization_with(), price_of(), uuid.uuid4()
    entries = [usage_of(organization_id, price, task_id=task_id, charged_usd=USD("0.1")) for _ in range(3)]
    usage_of(organization_id, price)
    with tenant_atomic(organization_id):
        totals = selectors.usage_for_task(organization_id, task_id)
        assert totals == UsageTotals(3, 300, 150, USD("0.0006"), USD("0.3"))
        assert totals.tokens == 450
        listed = selectors.usage_entries_for_task(organization_id, task_id)
        assert [item.id for item in listed] == [item.id for item in reversed(entries)]
        assert selectors.usage_for_task(organization_id, uuid.uuid4()) == UsageTotals()


def test_a_day_is_a_day_in_utc() -> None:
    late_in_new_york = datetime(2026, 11, 21, 19, 30, tzinfo=ZoneInfo("America/New_York"))
    with timezone.override("America/New_York"):
        assert usage_day(late_in_new_york) == date(2026, 11, 22)
        assert usage_day(datetime(2026, 11, 21, 23, 59, 59, tzinfo=UTC)) == date(2026, 11, 21)
