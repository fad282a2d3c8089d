"""A provider's file is read in whole or not at all, and says of a call what all of its requests used."""

import json
import uuid
from datetime import date
from decimal import Decimal

import pytest
from django.db import IntegrityError, transaction

from accounts_app.exceptions import InvalidInput
from accounts_app.models import AuditLog
from accounts_app.tenancy.context import operator_atomic, tenant_atomic
from billing_app.contracts import TokenBuckets
from billing_app.models import ProviderReport, ProviderReportRow
from billing_app.services.provider_reports import report_for_call, report_import
from tests.factories.billing import organization_with

pytestmark = pytest.mark.django_db
CALL = uuid.UUID("01890000-0000-7000-8000-000000000001")
REQUESTS = f"""\
day,model,request_id,x_client_request_id,prompt_tokens,cached_tokens,cache_write_tokens,completion_tokens,reasoning_tokens,cost
2026-11-20,m,req_1,{CALL},100,30,10,50,20,0.25
2026-11-20T23:59:59-05:00,m,req_2,{CALL},7,0,0,3,0,
2026-11-21,other,req_3,,1,,,2,,
"""


def read(text: str, **options: object) -> object:
    with operator_atomic("test"):
        return report_import(provider="acme", name="report.csv", text=text, **options)  # type: ignore[arg-type]


def rows() -> list[ProviderReportRow]:
    with operator_atomic("test"):
        return list(ProviderReportRow.objects.order_by("key"))


def test_requests_are_read_with_their_days_in_utc() -> None:
    read(REQUESTS)
    assert [(row.key, row.day, row.call_id, row.input_tokens, row.cost_usd) for row in rows()] == [
        ("req_1", date(2026, 11, 20), CALL, 100, Decimal("0.25")),
        ("req_2", date(2026, 11, 21), CALL, 7, None),
        ("req_3", date(2026, 11, 21), None, 1, None),
    ]


def test_a_calls_requests_count_together_in_disjoint_buckets() -> None:
    read(REQUESTS)
    with operator_atomic("test"):
        assert report_for_call(CALL) == TokenBuckets(input=67, cached_input=30, cache_write=10, output=33, reasoning=20)
        assert report_for_call(uuid.uuid4()) is None
        assert report_for_call(uuid.uuid4(), ["req_3"]) == TokenBuckets(input=1, output=2)
        # A request that names another call of ours is not this one's.
        assert report_for_call(uuid.uuid4(), ["req_1"]) is None


def test_sums_and_json_are_read_and_models_renamed() -> None:
    document = {"data": [
        {"date": "2026-11-20", "model": "acme/large-2026", "num_model_requests": 12, "input_tokens": 1000,
         "output_tokens": 10, "cost_usd": 0.1},
        {"timestamp": 1795262400, "model": "small", "requests": 1, "input_tokens": "5"},
    ]}  # fmt: skip
    read(json.dumps(document), models={"acme/large-2026": "large"})
    found = [(row.key, row.model, row.requests, row.input_tokens, row.cost_usd) for row in rows()]
    assert found == [
        ("2026-11-20 large", "large", 12, 1000, Decimal("0.1")), ("2026-11-21 small", "small", 1, 5, None),
    ]  # fmt: skip


def test_the_same_file_again_is_told_and_a_later_one_replaces_rows() -> None:
    first = read(REQUESTS)
    again = read(REQUESTS)
    assert getattr(first, "is_new", None) is True
    assert getattr(again, "is_new", None) is False
    read(f"day,model,request_id,call_id,input_tokens\n2026-11-20,m,req_1,{CALL},101\n")
    by_key = {row.key: row.input_tokens for row in rows()}
    assert by_key == {"req_1": 101, "req_2": 7, "req_3": 1}
    with operator_atomic("test"):
        assert ProviderReport.objects.count() == 2
        assert AuditLog.objects.filter(action="provider_report.import").count() == 2


@pytest.mark.parametrize(("text", "where", "why"), [
    ("day,model\nsoon,m\n", "Line 2, day", "not a date"),
    ("day,model\n2026-11-20,\n", "Line 2, model", "required"),
    ("day,model,input_tokens\n2026-11-20,m,1\n2026-11-21,m,-1\n", "Line 3, input_tokens", "whole number"),
    ("day,model,input_tokens\n2026-11-20,m,1.5\n", "Line 2, input_tokens", "whole number"),
    ("day,model,input_tokens,cached_input_tokens\n2026-11-20,m,1,2\n", "Line 2, input_tokens", "cached"),
    ("day,model,output_tokens,reasoning_tokens\n2026-11-20,m,1,2\n", "Line 2, output_tokens", "reasoning"),
    ("day,model,cost\n2026-11-20,m,free\n", "Line 2, cost_usd", "amount of money"),
    ("day,model\n2026-11-20,m\n2026-11-20,m\n", "Line 3", "earlier line"),
    ('[{"day": "2026-11-20"}]', "Line 1, model", "required"),
])  # fmt: skip
def test_a_fault_names_its_line_and_nothing_is_read(text: str, where: str, why: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        read(text)
    (detail,) = refused.value.details
    assert detail.field == where
    assert why in detail.message
    assert rows() == []


def test_every_faulty_line_is_named_at_once() -> None:
    with pytest.raises(InvalidInput) as refused:
        read("day,model\nsoon,m\n2026-11-20,m\nlater,\n")
    assert [item.field for item in refused.value.details] == ["Line 2, day", "Line 4, day"]


@pytest.mark.parametrize(
    "text", ["", "day,model\n", "[]", '{"rows": 1}', "[1]", "[{", 'day,model\n"2026', "day,model\n1,2,3\n"]
)
def test_what_is_no_table_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        read(text)


def test_tenants_see_nothing_of_providers_reports() -> None:
    read(REQUESTS)
    with tenant_atomic(organization_with()):
        assert ProviderReport.objects.count() == ProviderReportRow.objects.count() == 0
        assert report_for_call(CALL) is None


@pytest.mark.parametrize(("changed", "constraint"), [
    ({"input_tokens": 1}, "provider_report_row_tokens_add_up"),
    ({"output_tokens": 1}, "provider_report_row_tokens_add_up"),
    ({"requests": -1}, "provider_report_row_tokens_add_up"), ({"key": "req_2"}, "provider_report_row_once"),
])  # fmt: skip
def test_the_database_keeps_rows_well_formed(changed: dict[str, object], constraint: str) -> None:
    read(REQUESTS)
    with operator_atomic("test"), pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        ProviderReportRow.objects.filter(key="req_1").update(**changed)


def test_a_report_has_its_days_in_order_and_is_there_once() -> None:
    read(REQUESTS)
    with operator_atomic("test"):
        with pytest.raises(IntegrityError, match="provider_report_days"), transaction.atomic():
            ProviderReport.objects.update(first_day="2030-01-01")
        again = ProviderReport.objects.get()
        again.pk = uuid.uuid4()
        with pytest.raises(IntegrityError, match="provider_report_once"), transaction.atomic():
            again.save(force_insert=True)
