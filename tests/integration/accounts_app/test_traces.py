"""One request's trace, from every room, for operators across organizations and for people in their own."""

import re
from datetime import timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts_app.exceptions import NotFound, TenantRequired
from accounts_app.models import AuditLog
from accounts_app.services.api_keys import api_key_create
from accounts_app.services.trace import bind_trace, new_trace_id
from accounts_app.services.traces import TraceEvent, trace_events, trace_events_for_operator
from accounts_app.services.users import user_create
from accounts_app.tenancy.context import operator_context
from accounts_app.web.timeline import timeline
from billing_app.services.holds import hold_release, wallet_hold
from billing_app.services.wallets import wallet_topup
from tests.factories.accounts import Person, person

pytestmark = pytest.mark.django_db

KINDS = {"audit", "ledger", "hold"}


@pytest.fixture
def operator(client: Client) -> Client:
    client.force_login(user_create(email="operator@example.com", is_operator=True))
    return client


def traced(owner: Person) -> str:
    """Make a key, top up, hold and release, all of one trace; return its id."""
    with bind_trace(new_trace_id()) as trace_id, owner.at_work():
        api_key_create(name="mine")
        wallet_topup(organization_id=owner.organization_id, amount=Decimal(3), key=f"top-{trace_id}")
        hold = wallet_hold(
            organization_id=owner.organization_id,
            amount=Decimal(2),
            key=f"hold-{trace_id}",
            billing_ref_id="what-for",
            expires_in=timedelta(minutes=5),
        )
        hold_release(hold_id=hold.id, key=f"release-{trace_id}", reason="refused")
    return trace_id


def test_every_room_tells_what_it_wrote_oldest_first() -> None:
    owner = person()
    trace_id = traced(owner)
    with owner.at_work():
        events = trace_events(trace_id)
    assert {event.kind for event in events} >= KINDS
    assert [event.at for event in events] == sorted(event.at for event in events)
    assert [event.amount for event in events if event.kind == "hold"] == [Decimal(2)]
    assert len([event for event in events if event.kind == "ledger"]) == 3


def test_a_trace_of_another_organization_is_empty() -> None:
    trace_id = traced(person())
    stranger = person()
    with stranger.at_work():
        assert trace_events(trace_id) == ()
    assert stranger.client().get(reverse("accounts:trace", args=[trace_id])).status_code == 404


def test_nobody_looks_without_an_organization_or_an_operators_name() -> None:
    with pytest.raises(TenantRequired):
        trace_events(new_trace_id())


def test_what_is_no_trace_id_is_not_found() -> None:
    with person().at_work(), pytest.raises(NotFound):
        trace_events("../../etc/passwd")


def test_an_operators_look_is_on_record() -> None:
    trace_id = traced(person())
    with operator_context("admin:operator@example.com"):
        events = trace_events_for_operator(trace_id)
        row = AuditLog.objects.get(action="trace.read", target_id=trace_id)
    assert row.operator == "admin:operator@example.com"
    assert row.data == {"events": len(events)}
    assert all(event.url for event in events)


def test_the_admin_shows_a_trace_with_links_to_its_rows(operator: Client) -> None:
    trace_id = traced(person())
    page = operator.get(reverse("admin:trace", args=[trace_id]))
    assert page.status_code == 200
    content = page.content.decode()
    assert content.count('class="trace-row') >= 5
    for model in ("transaction", "hold"):
        assert f"/admin/billing_app/{model}/" in content
    assert "$2.0000000000" in content


@pytest.mark.parametrize("asked", ["{}", " {} ", "{:X}"])
def test_pasting_a_trace_id_leads_to_its_page(operator: Client, asked: str) -> None:
    trace_id = new_trace_id()
    pasted = f"{int(trace_id, 16):032X}" if "X" in asked else asked.format(trace_id)
    answer = operator.get(reverse("admin:trace-search"), {"trace": pasted})
    assert answer["Location"] == reverse("admin:trace", args=[trace_id])


def test_nonsense_is_told_so_and_not_audited(operator: Client) -> None:
    page = operator.get(reverse("admin:trace-search"), {"trace": "nonsense"})
    assert b'aria-invalid="true"' in page.content
    with operator_context("test"):
        assert not AuditLog.objects.filter(action="trace.read").exists()


def test_a_trace_without_rows_says_that_there_is_nothing(operator: Client) -> None:
    page = operator.get(reverse("admin:trace", args=[new_trace_id()]))
    assert page.status_code == 200
    assert b"Nothing was written down" in page.content


def test_staff_without_the_permission_is_refused(client: Client) -> None:
    helper = user_create(email="helper@example.com", is_operator=True)
    helper.is_superuser = False
    helper.save()
    client.force_login(helper)
    assert client.get(reverse("admin:trace-search")).status_code == 403


def test_people_see_their_own_trace_without_operators_links() -> None:
    owner = person()
    trace_id = traced(owner)
    page = owner.client().get(reverse("accounts:trace", args=[trace_id]))
    assert page.status_code == 200
    assert b"/admin/" not in page.content
    assert page.content.decode().count('class="trace-row') >= 5


@pytest.mark.parametrize("row", ["billing_app_transaction", "accounts_app_auditlog", "billing_app_hold"])
def test_rows_in_the_admin_lead_to_their_trace(operator: Client, row: str) -> None:
    trace_id = traced(person())
    listed = operator.get(reverse(f"admin:{row}_changelist"), {"q": trace_id}).content.decode()
    link = reverse("admin:trace", args=[trace_id])
    details = re.findall(rf'href="({reverse(f"admin:{row}_changelist")}[0-9a-f-]+/change/)', listed)
    assert link in listed or link in operator.get(details[0]).content.decode()


def _event(**fields: Any) -> TraceEvent:
    return TraceEvent(**(vars(SimpleNamespace(at=timezone.now(), kind="call", label="Call", title="m")) | fields))


def test_bars_stay_within_the_time_line() -> None:
    begun = timezone.now()
    shown = timeline(
        [
            _event(at=begun, duration_ms=100),
            _event(at=begun + timedelta(milliseconds=50), duration_ms=150),
            _event(at=begun + timedelta(milliseconds=200), kind="usage", amount=Decimal("0.1"), is_trouble=True),
        ]
    )
    assert (shown.total_ms, shown.charged_usd, shown.troubles) == (200, Decimal("0.1"), 1)
    assert [(row.offset_ms, row.x, row.width) for row in shown.rows] == [
        (0, "0.00", "50.00"),
        (50, "25.00", "75.00"),
        (200, "99.40", "0.60"),
    ]


def test_one_moment_is_a_time_line_too() -> None:
    (row,) = timeline([_event()]).rows
    assert (row.offset_ms, row.x) == (0, "0.00")
