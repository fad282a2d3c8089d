"""What is written of a run names that run's organization: one key holds both."""

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from accounts_app.tenancy.context import operator_atomic
from tests.factories.workflows import acting, owner, run_id_of
from workflows_app.contracts import StepResult
from workflows_app.models import RunLog
from workflows_app.services.claims import run_claim
from workflows_app.services.records import record_completed

pytestmark = pytest.mark.django_db

# A copy of a row of the run, but of another organization, or of no run that there is.
COPIES = {
    "run_events": "id = gen_random_uuid(), seq = 1000, prev_event_id = gen_random_uuid()",
    "step_runs": "id = gen_random_uuid(), attempt = 1000, status = 'failed'",
    "run_logs": "id = gen_random_uuid(), seq = 1000",
}


@pytest.mark.parametrize("table", COPIES)
@pytest.mark.parametrize("column", ["organization_id", "run_id"])
def test_rows_of_a_run_are_of_its_organization(table: str, column: str) -> None:
    mine, other = owner(), owner()
    run_id = run_id_of(mine, "first")
    with acting(mine):
        claim = run_claim(run_id)
        assert claim is not None
        assert mine.organization_id is not None
        record_completed(claim, StepResult(output={}))
        line = {"step_key": "first", "path": "first", "attempt": 1, "level": "info", "logger": "test"}
        RunLog.objects.create(
            organization_id=mine.organization_id, run_id=run_id, seq=1, message="Read", at=timezone.now(), **line
        )
    changes = dict(pair.split(" = ") for pair in COPIES[table].split(", "))
    changes[column] = f"'{other.organization_id}'"
    pairs = ", ".join(f"'{name}', {value}" for name, value in changes.items())
    with (
        operator_atomic("test"),
        pytest.raises(IntegrityError, match=f"{table}_of_run"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(
            f"INSERT INTO {table} SELECT (jsonb_populate_record(row, jsonb_build_object({pairs}))).* "  # noqa: S608
            f"FROM {table} AS row WHERE run_id = %s LIMIT 1",
            [run_id],
        )
