import pytest
from django.db import IntegrityError, ProgrammingError, connection

from accounts_app.models import AuditLog
from accounts_app.services.audit import audit_record
from accounts_app.services.trace import bind_trace
from tests.factories.accounts import person

pytestmark = pytest.mark.django_db


def test_a_row_says_who_did_what_under_which_trace() -> None:
    owner = person()
    with bind_trace() as trace_id, owner.at_work():
        audit_record(action="thing.make", target_type="thing", target_id=owner.id, data={"size": 3})
        entry = AuditLog.objects.get(action="thing.make")
    assert (entry.organization_id, entry.user_id, entry.operator) == (owner.organization_id, owner.id, "")
    assert (entry.target_type, entry.target_id, entry.data, entry.trace_id) == (
        "thing",
        str(owner.id),
        {"size": 3},
        trace_id,
    )


def test_it_is_written_for_someone() -> None:
    with pytest.raises(ProgrammingError, match="row-level security"):
        audit_record(action="thing.make")


@pytest.mark.parametrize("statement", ["UPDATE audit_logs SET action = 'x'", "DELETE FROM audit_logs"])
def test_it_is_append_only(statement: str) -> None:
    owner = person()
    with pytest.raises(IntegrityError, match="append-only"), owner.at_work(), connection.cursor() as cursor:
        cursor.execute(statement)
