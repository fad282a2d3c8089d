"""One trace id through request, answer, log line and audit row."""

import json
import logging

import pytest
from django.test import Client

from accounts_app.logs import JsonFormatter
from accounts_app.models import AuditLog
from accounts_app.services.trace import bind_trace, current_trace_id
from accounts_app.tenancy.context import operator_context, tenant_context
from tests.factories.accounts import person

TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.mark.parametrize(
    ("header", "value", "taken"),
    [
        ("X-Trace-Id", TRACE, True),
        ("traceparent", f"00-{TRACE}-b7ad6b7169203331-01", True),
        ("traceparent", TRACE, False),
        ("X-Trace-Id", "../../etc/passwd", False),
        ("X-Trace-Id", TRACE.upper(), False),
        ("X-Trace-Id", TRACE + "\n", False),
        ("X-Trace-Id", "", False),
    ],
)
def test_a_callers_trace_id_is_taken_when_it_is_one(client: Client, header: str, value: str, taken: bool) -> None:
    answered = client.get("/no-such-page/", headers={header: value})["X-Trace-Id"]
    assert (answered == TRACE) is taken
    assert len(answered) == 32


@pytest.mark.django_db
def test_a_request_leaves_its_trace_id_in_answer_log_and_audit_row(caplog: pytest.LogCaptureFixture) -> None:
    owner = person()
    caplog.set_level(logging.INFO, logger="accounts_app.middleware")
    answer = owner.api().post(
        "/api/keys/", {"name": "x"}, content_type="application/json", headers={"X-Trace-Id": TRACE}
    )
    assert answer["X-Trace-Id"] == TRACE
    with owner.at_work():
        assert AuditLog.objects.get(trace_id=TRACE).action == "api_key.create"
    record = next(record for record in caplog.records if record.getMessage() == "request.finished")
    fields = vars(record)
    assert (fields["method"], fields["path"], fields["status"]) == ("POST", "/api/keys/", 201)
    assert fields["organization_id"] == owner.organization_id
    assert fields["duration_ms"] >= 0


def test_trace_ids_do_not_leak_out_of_their_block() -> None:
    assert current_trace_id() == ""
    with bind_trace() as outer:
        with bind_trace(TRACE):
            assert current_trace_id() == TRACE
        assert current_trace_id() == outer
    assert current_trace_id() == ""


def formatted(message: str, **extra: object) -> dict[str, object]:
    record = logging.LogRecord("room", logging.WARNING, __file__, 1, message, (), None)
    vars(record).update(extra)
    line: dict[str, object] = json.loads(JsonFormatter().format(record))
    return line


def test_a_log_line_is_one_json_object_with_trace_tenant_and_extras() -> None:
    owner = "0b8e1a4e-0000-4000-8000-000000000000"
    with bind_trace(TRACE), tenant_context(owner):  # type: ignore[arg-type]
        line = formatted("something.happened", amount=3, text="两行\n文字")
    assert line.pop("at")
    assert line == {
        "level": "warning",
        "logger": "room",
        "message": "something.happened",
        "trace_id": TRACE,
        "organization_id": owner,
        "amount": 3,
        "text": "两行\n文字",
    }


def test_a_log_line_of_the_system_names_the_operator_and_an_exception_is_written_out() -> None:
    with operator_context("sweep"):
        assert formatted("swept")["operator"] == "sweep"
    error = ZeroDivisionError("nobody foresaw this")
    record = logging.LogRecord("room", logging.ERROR, __file__, 1, "x", (), (type(error), error, None))
    assert "nobody foresaw this" in json.loads(JsonFormatter().format(record))["exception"]
