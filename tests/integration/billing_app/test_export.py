"""Exports: exactly what the filters leave, exact to the last place, safe in a spreadsheet, in constant memory."""

import csv
import io
import json
import uuid
from decimal import Decimal
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connection
from django.test import AsyncClient, Client

from accounts_app.models import AuditLog
from accounts_app.tenancy.context import operator_atomic
from billing_app import selectors
from billing_app.services import exports
from billing_app.services.exports import cell, export_text, transactions_export
from tests.factories.accounts import Person, person
from tests.factories.billing import spend, topped_up

USD = Decimal


def csv_of(client: Client, address: str) -> list[dict[str, str]]:
    answer = client.get(address)
    assert answer.status_code == 200
    assert "attachment" in answer["Content-Disposition"]
    return list(csv.DictReader(io.StringIO(answer.getvalue().decode())))


def json_of(client: Client, address: str) -> Any:
    return json.loads(client.get(address).getvalue())


@pytest.fixture
def ada() -> Person:
    somebody = person()
    topped_up(somebody.organization_id, "10")
    return somebody


@pytest.mark.django_db
def test_csv_and_json_hold_the_filtered_rows_newest_first_to_the_last_place(ada: Person) -> None:
    spend(ada, "0.0000000001")
    client = ada.client()
    rows = csv_of(client, "/wallet/transactions/export.csv")
    assert [row["kind"] for row in rows] == ["release", "capture", "hold", "topup"]
    assert [row["amount"] for row in rows[1:]] == ["0.0000000001", "1.0000000000", "10.0000000000"]
    same = json_of(client, "/wallet/transactions/export.json")
    assert [{name: "" if value is None else str(value) for name, value in row.items()} for row in same] == rows
    assert same[0]["seq"] == 4
    assert [row["kind"] for row in csv_of(client, "/wallet/transactions/export.csv?kind=topup")] == ["topup"]
    assert json_of(client, "/wallet/transactions/export.json?kind=refund") == []


@pytest.mark.django_db
def test_usage_is_exported_with_buckets_and_whose_it_was(ada: Person) -> None:
    key_id = uuid.uuid4()
    call_id = spend(ada, "0.5", model="exported", api_key_id=key_id)
    spend(ada, "0.25", model="left-out")
    (row,) = csv_of(ada.client(), "/wallet/usage/export.csv?model=exported")
    assert (row["id"], row["api_key_id"], row["charged_usd"]) == (str(call_id), str(key_id), "0.5000000000")
    assert (row["uncached_input_tokens"], row["visible_output_tokens"]) == ("100", "50")


@pytest.mark.django_db
def test_pages_of_the_export_join_without_gap_or_repetition(ada: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "PAGE", 3)
    for number in range(10):
        topped_up(ada.organization_id, "1", key=f"n{number}")
        spend(ada, "0.01")
    rows = csv_of(ada.client(), "/wallet/transactions/export.csv")
    assert [int(row["seq"]) for row in rows] == list(range(41, 0, -1))
    usage = json_of(ada.client(), "/wallet/usage/export.json")
    assert len({row["id"] for row in usage}) == 10
    assert [row["created_at"] for row in usage] == sorted((row["created_at"] for row in usage), reverse=True)


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", '=HYPERLINK("http://x","y")'])
def test_a_text_is_never_a_formula(text: str) -> None:
    assert cell(text) == f"'{text}"
    assert cell("harmless = text") == "harmless = text"
    assert cell(USD("-3.00")) == "-3.00"
    assert cell(None) == ""


@pytest.mark.django_db
def test_a_note_that_would_be_a_formula_is_neutralised_in_the_file(ada: Person) -> None:
    topped_up(ada.organization_id, "1", key="formula", note='=cmd|"/c calc"!A1')
    rows = csv_of(ada.client(), "/wallet/transactions/export.csv?kind=topup")
    assert rows[0]["note"] == '\'=cmd|"/c calc"!A1'
    assert json_of(ada.client(), "/wallet/transactions/export.json?kind=topup")[0]["note"].startswith("=cmd")


@pytest.mark.django_db
def test_an_export_is_audited_with_its_filters(ada: Person) -> None:
    csv_of(ada.client(), "/wallet/transactions/export.csv?kind=topup&from=2026-01-01")
    with operator_atomic("test"):
        row = AuditLog.objects.get(organization_id=ada.organization_id, action="billing.export")
    assert (row.user_id, row.target_type) == (ada.id, "transactions")
    assert row.data == {"format": "csv", "filters": {"kind": "topup", "from": "2026-01-01"}}


@pytest.mark.django_db
@pytest.mark.parametrize("address", ["export.xml", "export.csv?kind=gift", "export.csv?from=soon"])
def test_what_is_not_understood_is_not_found(ada: Person, address: str) -> None:
    assert ada.client().get(f"/wallet/transactions/{address}").status_code == 404


@pytest.mark.django_db
def test_nobody_exports_what_is_not_theirs(ada: Person) -> None:
    assert csv_of(person().client(), "/wallet/transactions/export.csv") == []
    assert csv_of(person().client(), "/wallet/usage/export.csv") == []


@pytest.mark.django_db
@pytest.mark.parametrize("what", ["transactions", "usage"])
def test_programs_get_the_same_files(ada: Person, what: str) -> None:
    spend(ada, "0.5", model="exported")
    spend(ada, "0.25", model="exported-too")
    narrowed = {"transactions": "kind=capture", "usage": "model=exported"}[what]
    for query in ("", narrowed):
        page = ada.client().get(f"/wallet/{what}/export.csv?{query}").getvalue()
        file = ada.api().get(f"/api/billing/{what}/export?{query}")
        assert (file.status_code, file["Content-Type"]) == (200, "text/csv; charset=utf-8")
        assert file.getvalue() == page
        as_json = ada.api().get(f"/api/billing/{what}/export?format=json&{query}")
        assert as_json.getvalue() == ada.client().get(f"/wallet/{what}/export.json?{query}").getvalue()
    with operator_atomic("test"):
        rows = AuditLog.objects.filter(organization_id=ada.organization_id, action="billing.export")
        assert rows.count() == 8
    assert len(person().api().get(f"/api/billing/{what}/export").getvalue().splitlines()) == 1


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("query", "field"), [("format=xml", "format"), ("from=soon", "from"), ("trace=" + "x" * 33, "trace")]
)
def test_programs_are_told_what_is_not_understood(ada: Person, query: str, field: str) -> None:
    answer = ada.api().get(f"/api/billing/transactions/export?{query}")
    assert (answer.status_code, answer["Content-Type"]) == (400, "application/json")
    assert [detail["field"] for detail in answer.json()["error"]["details"]] == [field]


@pytest.mark.usefixtures("committed_db")
async def test_a_server_sends_the_file_page_by_page_as_the_tenant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "PAGE", 2)
    client = AsyncClient()
    client.cookies["sessionid"] = await sync_to_async(_session_with_entries)()
    answer = await client.get("/wallet/transactions/export.csv")
    pieces = [piece.decode() async for piece in answer.streaming_content]  # type: ignore[attr-defined]
    assert len(pieces) == 4
    assert len("".join(pieces).splitlines()) == 6


def test_a_hundred_thousand_rows_are_paged_by_an_index_and_never_in_memory_together(as_owner: None) -> None:
    ada = person()
    topped_up(ada.organization_id, "10")
    with operator_atomic("test"), connection.cursor() as cursor:
        cursor.execute("SELECT id FROM wallets WHERE organization_id = %s", [ada.organization_id])
        (wallet_id,) = cursor.fetchall()[0]
        cursor.execute(
            "INSERT INTO transactions (id, organization_id, wallet_id, seq, kind, amount, balance_after, frozen_after,"
            " idempotency_key, fingerprint, billing_ref_id, trace_id, note, created_at, prev_hash, hash)"
            " SELECT gen_random_uuid(), %s, %s, n, 'topup', 1, n, 0, 'bulk:' || n, '', '', '', '', now(), '', ''"
            " FROM generate_series(2, 100500) n",
            [ada.organization_id, wallet_id],
        )
        cursor.execute("ANALYZE transactions")
    with ada.at_work() as tenant:
        plan = selectors.transactions(ada.organization_id).order_by("-seq")[:21].explain()
        assert "transaction_seq_once" in plan
        assert "Sort" not in plan
        export = transactions_export(selectors.transactions(ada.organization_id))
        lines = largest = 0
        for piece in export_text(export=export, format="csv", tenant=tenant):
            lines += piece.count("\n")
            largest = max(largest, len(piece))
    assert lines == 100_501
    assert largest < 400_000


def _session_with_entries() -> str:
    somebody = person()
    for number in range(5):
        topped_up(somebody.organization_id, "1", key=f"n{number}")
    return somebody.client().cookies["sessionid"].value
