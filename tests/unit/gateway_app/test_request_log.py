"""The request log in the admin: found by what one pastes, quick however many calls there were."""

import uuid
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts_app.admin_lists import EstimatedPaginator
from accounts_app.ids import uuid7_floor
from accounts_app.services.trace import new_trace_id
from accounts_app.tenancy.context import operator_atomic
from gateway_app.models import GatewayAnswer, GatewayAttempt, GatewayCall, GatewayOperation
from tests.factories.accounts import Person, person

pytestmark = pytest.mark.django_db
LIST = "admin:gateway_app_gatewaycall_changelist"


@pytest.fixture
def operator(db: None) -> Client:
    return person(is_operator=True).client()


def call_made(owner: Person, *, days_ago: float = 0, **fields: object) -> GatewayCall:
    """A settled call with one attempt."""
    moment = timezone.now() - timedelta(days=days_ago)
    given: dict[str, object] = {
        "id": uuid.UUID(int=uuid7_floor(moment).int + uuid.uuid4().int % 2**32),
        "organization_id": owner.organization_id,
        "operation_key": uuid.uuid4().hex,
        "model": "scripted",
        "provider": "scripted",
        "price_id": uuid.uuid4(),
        "hold_id": uuid.uuid4(),
        "owner": "x",
        "lease_until": moment,
        "status": "settled",
        "ending": "completed",
        "settled_at": moment,
        "trace_id": new_trace_id(),
    }
    with operator_atomic("test"):
        call = GatewayCall.objects.create(**given | fields)
        GatewayAttempt.objects.create(
            organization_id=owner.organization_id, call=call, number=1, provider="scripted", started_at=moment
        )
    return call


def listed(operator: Client, **query: object) -> str:
    page = operator.get(reverse(LIST), {name: str(value) for name, value in query.items()})
    assert page.status_code == 200
    return page.content.decode()


@pytest.mark.parametrize("what", ["pk", "trace_id"])
def test_a_call_is_found_by_what_one_pastes_however_old_it_is(operator: Client, what: str) -> None:
    owner = person()
    wanted, other = call_made(owner, days_ago=90), call_made(owner)
    page = listed(operator, q=getattr(wanted, what))
    assert wanted.trace_id in page
    assert other.trace_id not in page


@pytest.mark.parametrize("pasted", ["{}", "v1:key:{}"])
def test_a_call_is_found_by_its_idempotency_key(operator: Client, pasted: str) -> None:
    owner, key = person(), str(uuid.uuid4())
    wanted, other = call_made(owner, days_ago=3), call_made(owner)
    with operator_atomic("test"):
        GatewayOperation.objects.create(
            organization_id=owner.organization_id, operation_key=f"v1:key:{key}", request_hash="x", call_id=wanted.pk
        )
    page = listed(operator, q=pasted.format(key))
    assert wanted.trace_id in page
    assert other.trace_id not in page


def test_the_log_shows_a_week_unless_asked_for_more(operator: Client) -> None:
    owner = person()
    old, new = call_made(owner, days_ago=20), call_made(owner)
    own = {"organization__id__exact": str(owner.organization_id)}  # others may have made a page full meanwhile
    assert new.trace_id in listed(operator, **own)
    assert old.trace_id not in listed(operator, **own)
    assert old.trace_id in listed(operator, since="30d", **own)
    assert old.trace_id in listed(operator, since="all", **own)
    assert new.trace_id in listed(operator, since="1h", **own)


def test_filters_are_combined(operator: Client) -> None:
    owner = person()
    wanted = call_made(owner, ending="timeout", provider="openai")
    others = [call_made(owner, ending="timeout"), call_made(owner, provider="openai")]
    page = listed(operator, ending__exact="timeout", provider="openai", status__exact="settled")
    assert wanted.trace_id in page
    assert not [other for other in others if other.trace_id in page]


def test_each_call_leads_to_its_trace(operator: Client) -> None:
    call = call_made(person())
    assert reverse("admin:trace", args=[call.trace_id]) in listed(operator)


def test_more_calls_need_no_more_queries(operator: Client) -> None:
    owner = person()
    call_made(owner)
    listed(operator)
    with CaptureQueriesContext(connection) as few:
        listed(operator)
    for _ in range(5):
        call_made(owner)
    with CaptureQueriesContext(connection) as many:
        listed(operator)
    assert len(many) == len(few)
    assert not [query for query in many if "DISTINCT" in query["sql"] and "gateway_calls" in query["sql"]]


def test_a_list_without_filters_is_counted_by_the_planners_figures(
    operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    with operator_atomic("test"):
        everything = GatewayCall.objects.all()
        with CaptureQueriesContext(connection) as queries:
            assert EstimatedPaginator(everything, 50).count == len(everything), "few are counted"
            monkeypatch.setattr("accounts_app.admin_lists.COUNTED", -2)
            EstimatedPaginator(everything.filter(model="x"), 50).count  # noqa: B018 - a property that counts
    assert "pg_partition_tree" in queries[0]["sql"]
    assert "pg_partition_tree" not in queries[-1]["sql"], "what is filtered is counted"


def test_the_page_of_a_call_shows_its_attempts(operator: Client) -> None:
    page = operator.get(reverse("admin:gateway_app_gatewaycall_change", args=[call_made(person()).pk]))
    assert "attempts-0" in page.content.decode()


def test_a_stored_answer_is_not_shown_to_operators(operator: Client) -> None:
    owner = person()
    with operator_atomic("test"):
        answer = GatewayAnswer.objects.create(organization_id=owner.organization_id, text="what the model wrote")
    page = operator.get(reverse("admin:gateway_app_gatewayanswer_change", args=[answer.pk]))
    assert page.status_code == 200
    assert "what the model wrote" not in page.content.decode()
