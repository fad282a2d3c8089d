"""Ledger, usage and the provider's report of a day: where they differ is listed, until it is gone or explained."""

import uuid
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse

from accounts_app.exceptions import InvalidInput, NotFound
from accounts_app.models import AuditLog
from accounts_app.tenancy.context import operator_atomic, operator_context, tenant_atomic
from billing_app import tasks
from billing_app.contracts import TokenBuckets
from billing_app.models import ReconciliationDifference, ReconciliationRun
from billing_app.services.holds import hold_capture
from billing_app.services.provider_reports import report_import
from billing_app.services.reconciliation import difference_explain, reconcile_day
from tests.factories.accounts import person
from tests.factories.billing import hold_of, organization_with, price_of, usage_of

pytestmark = pytest.mark.django_db
USD = Decimal
PROVIDER = "acme"
CHARGE = USD("0.25")


@pytest.fixture
def organization_id() -> UUID:
    return organization_with("10")


def today() -> date:
    return datetime.now(UTC).date()


def called(organization_id: UUID, *, model: str = "m", captured: Decimal = CHARGE, **fields: Any) -> UUID:
    """Make one call with 100 input and 50 output tokens, and return its id."""
    call_id, price = uuid.uuid4(), price_of(model)
    with tenant_atomic(organization_id):
        hold = hold_of(organization_id, "1", ref=str(call_id))
        hold_capture(hold_id=hold.id, amount=captured, key=f"c:{call_id}")
    values = {"provider": PROVIDER, "cost_usd": CHARGE, "charged_usd": CHARGE}
    usage_of(organization_id, price, call_id=call_id, **(values | fields))
    return call_id


def reported(*lines: str, head: str = "day,model,request_id,call_id,input_tokens,output_tokens") -> None:
    with operator_atomic("test"):
        report_import(provider=PROVIDER, name="report.csv", text="\n".join([head, *lines]))


def compared(day: date | None = None) -> list[ReconciliationDifference]:
    with operator_atomic("test"):
        reconcile_day(day or today())
        return list(ReconciliationDifference.objects.all())


def test_three_equal_books_have_no_difference(organization_id: UUID) -> None:
    mine, theirs_only = called(organization_id), called(organization_id, meta={"upstream_request_id": "req_2"})
    assert theirs_only
    reported(f"{today()},m,req_1,{mine},100,50", f"{today()},m,req_2,,100,50")
    assert compared() == []
    with operator_atomic("test"):
        run = ReconciliationRun.objects.get()
    assert (run.day, run.calls, run.reported, run.differences) == (today(), 2, 2, 0)


def test_without_a_report_only_the_ledger_is_compared(organization_id: UUID) -> None:
    called(organization_id)
    assert compared() == []


def test_a_record_that_charges_otherwise_than_was_captured_is_named(organization_id: UUID) -> None:
    call_id = called(organization_id, captured=USD("0.2"))
    (found,) = compared()
    assert (found.kind, found.call_id, found.organization_id) == ("charge", call_id, organization_id)
    assert found.ours == {"charged_usd": "0.2500000000"}
    assert found.theirs == {"captured_usd": "0.2000000000"}


def test_a_capture_without_a_record_is_named(organization_id: UUID) -> None:
    with tenant_atomic(organization_id):
        hold = hold_of(organization_id, "1", ref="no such call")
        hold_capture(hold_id=hold.id, amount=USD(1), key="c")
    (found,) = compared()
    assert (found.kind, found.request_id, found.organization_id) == ("charge", "no such call", organization_id)
    assert found.theirs == {"captured_usd": "1.0000000000"}


def test_requests_that_one_side_does_not_know_are_named(organization_id: UUID) -> None:
    known, unreported = called(organization_id), called(organization_id)
    stranger = uuid.uuid4()
    reported(f"{today()},m,req_1,{known},100,50", f"{today()},m,req_2,{stranger},7,8", f"{today()},m,req_3,,1,2")
    found = {(item.kind, item.request_id or item.call_id): item for item in compared()}
    assert found.keys() == {("unrecorded", "req_2"), ("unrecorded", "req_3"), ("unreported", unreported)}
    assert found["unrecorded", "req_2"].call_id == stranger
    assert found["unrecorded", "req_2"].theirs["input_tokens"] == "7"
    assert found["unreported", unreported].ours["output_tokens"] == "50"


def test_other_tokens_are_named_and_retries_count_together(organization_id: UUID) -> None:
    twice, wrong = called(organization_id), called(organization_id)
    reported(f"{today()},m,req_1,{twice},60,50", f"{today()},m,req_2,{twice},40,0", f"{today()},m,req_3,{wrong},100,51")
    (found,) = compared()
    assert (found.kind, found.call_id) == ("tokens", wrong)
    assert (found.ours["output_tokens"], found.theirs["output_tokens"]) == ("50", "51")


def test_a_request_reported_for_the_next_day_is_the_same_request(organization_id: UUID) -> None:
    call_id = called(organization_id)
    reported(f"{today() + timedelta(days=1)},m,req_1,{call_id},100,50")
    assert compared() == []
    assert compared(today() + timedelta(days=1)) == []


def test_totals_of_a_day_are_compared_by_model(organization_id: UUID) -> None:
    for model in ("m", "m", "n"):
        called(organization_id, model=model)
    called(organization_id, provider="another one")
    head = "day,model,requests,input_tokens,output_tokens,cost_usd"
    reported(f"{today()},m,2,200,100,0.5", f"{today()},n,1,100,49,0.25", f"{today()},p,1,1,1,0.01", head=head)
    found = {item.model: item for item in compared()}
    assert found.keys() == {"n", "p"}
    assert {item.kind for item in found.values()} == {"totals"}
    assert found["n"].ours == {"input_tokens": "100", "output_tokens": "50", "cost_usd": "0.2500000000"}
    assert found["n"].theirs == {"input_tokens": "100", "output_tokens": "49", "cost_usd": "0.2500000000"}
    assert found["p"].ours["input_tokens"] == "0"


def test_calls_without_tokens_need_no_report(organization_id: UUID) -> None:
    known = called(organization_id)
    called(organization_id, captured=USD(0), charged_usd=USD(0), tokens=TokenBuckets(), ending="worker_killed")
    reported(f"{today()},m,req_1,{known},100,50")
    assert compared() == []


def test_a_difference_is_there_once_and_goes_when_it_is_gone(organization_id: UUID) -> None:
    call_id = called(organization_id)
    reported(f"{today()},m,req_1,{call_id},1,2")
    (first,) = compared()
    (again,) = compared()
    assert first.pk == again.pk
    reported(f"{today()},m,req_1,{call_id},100,50")
    assert compared() == []


def test_an_explained_difference_stays_until_its_figures_change(organization_id: UUID) -> None:
    call_id = called(organization_id)
    reported(f"{today()},m,req_1,{call_id},1,2")
    (found,) = compared()
    with operator_atomic("test"):
        difference_explain(difference_id=found.pk, explanation=" their counter was late ")
        assert AuditLog.objects.filter(action="reconciliation.explain", target_id=str(found.pk)).count() == 1
    (kept,) = compared()
    assert (kept.explanation, kept.explained_at is not None) == ("their counter was late", True)
    reported(f"{today()},m,req_1,{call_id},1,3")
    (reopened,) = compared()
    assert (reopened.pk, reopened.explanation, reopened.explained_at) == (found.pk, "", None)
    with operator_atomic("test"):
        difference_explain(difference_id=found.pk, explanation="as before")
    reported(f"{today()},m,req_1,{call_id},100,50")
    (history,) = compared()
    assert history.explanation == "as before"


def test_an_explanation_is_needed_and_a_difference_too(organization_id: UUID) -> None:
    call_id = called(organization_id, captured=USD("0.2"))
    (found,) = compared()
    assert found.call_id == call_id
    with operator_atomic("test"):
        with pytest.raises(InvalidInput):
            difference_explain(difference_id=found.pk, explanation="  ")
        with pytest.raises(NotFound):
            difference_explain(difference_id=uuid.uuid4(), explanation="x")


def test_the_beat_task_compares_the_last_days() -> None:
    assert tasks.reconcile() == 0
    with operator_atomic("test"):
        days = set(ReconciliationRun.objects.values_list("day", flat=True))
    assert days == {today() - timedelta(days=number) for number in (1, 2, 3)}


def test_tenants_see_no_differences(organization_id: UUID) -> None:
    called(organization_id, captured=USD("0.2"))
    assert compared()
    with tenant_atomic(organization_id):
        assert ReconciliationDifference.objects.count() == ReconciliationRun.objects.count() == 0


@pytest.mark.parametrize(("changed", "constraint"), [
    ({"kind": "mood"}, "difference_kind_known"), ({"explanation": "x"}, "difference_explained_at_when_explained"),
    ({"explained_at": datetime(2026, 1, 1, tzinfo=UTC)}, "difference_explained_at_when_explained"),
])  # fmt: skip
def test_the_database_keeps_differences_well_formed(
    organization_id: UUID, changed: dict[str, object], constraint: str
) -> None:
    called(organization_id, captured=USD("0.2"))
    (found,) = compared()
    with operator_atomic("test"):
        with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
            ReconciliationDifference.objects.update(**changed)
        found.pk = uuid.uuid4()
        with pytest.raises(IntegrityError, match="difference_once"), transaction.atomic():
            found.save(force_insert=True)


def test_command_reads_a_file_and_tells_what_differs(organization_id: UUID, tmp_path: Path) -> None:
    call_id = called(organization_id)
    file, out = tmp_path / "acme.csv", StringIO()
    file.write_text(f"day,model,request_id,call_id,input_tokens,output_tokens\n{today()},big,r,{call_id},100,51\n")
    for _ in range(2):
        call_command("import_provider_report", PROVIDER, str(file), "--model", "big=m", stdout=out)
    assert f"{today()}: 1 calls recorded, 1 requests reported, 1 differences" in out.getvalue()
    assert "1 lines, 1 differences." in out.getvalue()
    assert "read in before" in out.getvalue()


@pytest.mark.parametrize(("content", "options", "why"), [
    (b"day,model\nsoon,m\n", [], "Line 2, day: This is not a date"), (b"\xff\xfe", [], "not UTF-8"),
    (None, [], "cannot be read"), (b"day,model\n2026-11-20,m\n", ["--model", "m"], "THEIRS=OURS"),
])  # fmt: skip
def test_command_refuses_what_it_cannot_read(
    tmp_path: Path, content: bytes | None, options: list[str], why: str
) -> None:
    file = tmp_path / "acme.csv"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(CommandError, match=why):
        call_command("import_provider_report", PROVIDER, str(file), *options)


def test_an_operator_explains_a_difference_in_the_admin(organization_id: UUID, client: Client) -> None:
    called(organization_id, captured=USD("0.2"))
    (found,) = compared()
    client.force_login(person(is_operator=True).user)
    listed = client.get(reverse("admin:billing_app_reconciliationdifference_changelist") + "?explained=no")
    assert "charged (USD)" in listed.content.decode()
    page = reverse("admin:billing_app_reconciliationdifference_change", args=[found.pk])
    assert "This field is required" in client.post(page, {"explanation": ""}).content.decode()
    assert client.post(page, {"explanation": "seen"}).status_code == 302
    with operator_context("test"), transaction.atomic():
        assert ReconciliationDifference.objects.get().explanation == "seen"
