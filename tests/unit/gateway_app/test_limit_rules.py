"""Limits as rows: who sets them, what the database refuses, which of them a call must keep."""

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import IntegrityError, transaction

from accounts_app.contracts import KeyCard
from accounts_app.exceptions import InvalidInput, NotFound, PermissionRefused
from accounts_app.models import AuditLog, Organization
from accounts_app.services.cards import key_card
from accounts_app.services.projects import project_create
from accounts_app.tenancy.context import operator_atomic, tenant_atomic
from gateway_app.models import RateLimit
from gateway_app.services.limits import duration, limit_rules, rate_limit_remove, rate_limit_set
from tests.factories.accounts import Person, person, team

pytestmark = pytest.mark.django_db


def _card(someone: Person, **fields: Any) -> KeyCard:
    card = key_card(someone.key())
    return KeyCard(**{**vars(card), **fields})


def _rules(card: KeyCard) -> set[tuple[str, int | None, int | None]]:
    with tenant_atomic(card.organization_id, card.user_id, card.role):
        return {(rule.scope, rule.requests_per_minute, rule.tokens_per_minute) for rule in limit_rules(card)}


def test_a_call_keeps_the_limits_of_organization_project_member_and_key() -> None:
    owner, member = team("member")
    with owner.at_work():
        project_id = project_create(name="P").pk
    card, another = _card(member, project_id=project_id), _card(member)
    with owner.at_work():
        rate_limit_set(scope="organization", requests_per_minute=1_000)
        rate_limit_set(scope="project", subject_id=project_id, tokens_per_minute=9_000)
        rate_limit_set(scope="member", subject_id=member.id, requests_per_minute=60, tokens_per_minute=5_000)
        rate_limit_set(scope="key", subject_id=card.api_key_id, requests_per_minute=5)
        rate_limit_set(scope="member", subject_id=owner.id, requests_per_minute=1)
    assert _rules(card) == {
        ("organization", 1_000, None),
        ("project", None, 9_000),
        ("member", 60, 5_000),
        ("key", 5, None),
    }
    assert _rules(another) == {("organization", 1_000, None), ("member", 60, 5_000)}
    assert _rules(_card(person())) == set()


def test_a_limit_is_replaced_not_doubled_and_each_change_is_audited() -> None:
    owner = person()
    with owner.at_work():
        first = rate_limit_set(scope="organization", requests_per_minute=10)
        second = rate_limit_set(scope="organization", tokens_per_minute=99)
        assert (first.id, second.requests_per_minute, second.tokens_per_minute) == (second.id, None, 99)
        rate_limit_remove(rate_limit_id=first.id)
        assert RateLimit.objects.count() == 0
        rows = AuditLog.objects.filter(target_id=str(first.id)).order_by("created_at")
        assert [row.action for row in rows] == ["rate_limit.set", "rate_limit.set", "rate_limit.remove"]
        assert rows[1].data["tokens_per_minute"] == 99
        with pytest.raises(NotFound):
            rate_limit_remove(rate_limit_id=first.id)


def test_only_owners_and_admins_set_limits() -> None:
    owner, admin, member, viewer = team("admin", "member", "viewer")
    with admin.at_work():
        limit = rate_limit_set(scope="organization", requests_per_minute=10)
    for someone in (member, viewer):
        with someone.at_work():
            with pytest.raises(PermissionRefused):
                rate_limit_set(scope="organization", requests_per_minute=99)
            with pytest.raises(PermissionRefused):
                rate_limit_remove(rate_limit_id=limit.id)
            with pytest.raises(PermissionRefused):
                rate_limit_set(scope="organization", requests_per_minute=99, organization_id=owner.organization_id)


def test_nobody_limits_others() -> None:
    mine, theirs = person(), person()
    with theirs.at_work():
        limit = rate_limit_set(scope="organization", requests_per_minute=10)
    card = _card(theirs)
    with mine.at_work():
        with pytest.raises(NotFound):
            rate_limit_remove(rate_limit_id=limit.id)
        for scope, subject_id in (("member", theirs.id), ("key", card.api_key_id), ("project", uuid4())):
            with pytest.raises(InvalidInput) as caught:
                rate_limit_set(scope=scope, subject_id=subject_id, requests_per_minute=1)
            assert caught.value.details[0].field == "subject_id"
        # Whatever id is given: an organization's limit is one's own organization's.
        own = rate_limit_set(scope="organization", subject_id=theirs.organization_id, requests_per_minute=1)
        assert own.subject_id == mine.organization_id
        # An organization that a member names is not taken.
        rate_limit_set(scope="organization", requests_per_minute=2, organization_id=theirs.organization_id)
    assert _rules(card) == {("organization", 10, None)}


def test_an_operator_names_the_organization() -> None:
    theirs = person()
    with operator_atomic("test"):
        limit = rate_limit_set(scope="organization", requests_per_minute=7, organization_id=theirs.organization_id)
    card = _card(theirs)
    assert _rules(card) == {("organization", 7, None)}
    with operator_atomic("test"):
        rate_limit_remove(rate_limit_id=limit.id, organization_id=theirs.organization_id)
    assert _rules(card) == set()


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"scope": "planet", "requests_per_minute": 1}, "scope"),
        ({"scope": "organization"}, "requests_per_minute"),
        ({"scope": "organization", "requests_per_minute": 0}, "requests_per_minute"),
        ({"scope": "organization", "tokens_per_minute": -1}, "tokens_per_minute"),
        ({"scope": "member", "requests_per_minute": 1}, "subject_id"),
        ({"scope": "organization", "requests_per_minute": 2**31}, "requests_per_minute"),
        ({"scope": "organization", "tokens_per_minute": 2**63}, "tokens_per_minute"),
    ],
)
def test_figures_that_make_no_sense_are_refused(fields: dict[str, Any], field: str) -> None:
    with person().at_work(), pytest.raises(InvalidInput) as caught:
        rate_limit_set(**fields)
    assert caught.value.details[0].field == field


def test_what_the_database_refuses() -> None:
    owner = person()

    def row(**fields: Any) -> RateLimit:
        values = {"scope": "member", "subject_id": owner.id, "requests_per_minute": 1}
        return RateLimit.objects.create(organization_id=owner.organization_id, **values | fields)

    def refused(constraint: str, act: Callable[[], object]) -> None:
        with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
            act()

    with owner.at_work():
        row()
        refused("rate_limit_once", row)
        refused("rate_limit_scope_known", lambda: row(scope="planet"))
        refused("rate_limit_limits_something", lambda: row(subject_id=uuid4(), requests_per_minute=None))
        refused("rate_limit_positive", lambda: row(subject_id=uuid4(), requests_per_minute=0))
        refused("rate_limit_positive", lambda: row(subject_id=uuid4(), tokens_per_minute=0))
        refused("rate_limit_organization_is_own", lambda: row(scope="organization", subject_id=uuid4()))


def _revision(organization_id: UUID) -> int:
    return Organization.objects.get(pk=organization_id).policy_revision


def test_every_change_of_a_limit_makes_kept_key_cards_stale() -> None:
    owner = person()
    with owner.at_work():
        seen = [_revision(owner.organization_id)]
        limit = rate_limit_set(scope="organization", requests_per_minute=10)
        seen.append(_revision(owner.organization_id))
        rate_limit_set(scope="organization", requests_per_minute=11)
        seen.append(_revision(owner.organization_id))
        rate_limit_remove(rate_limit_id=limit.id)
        seen.append(_revision(owner.organization_id))
    assert seen == sorted(set(seen))


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "0s"),
        (12, "12ms"),
        (1_000, "1s"),
        (8_640, "8.64s"),
        (59_999, "59.999s"),
        (60_000, "1m0s"),
        (86_400, "1m26.4s"),
        (360_000, "6m0s"),
        (3_600_000, "1h0m0s"),
    ],
)
def test_times_are_written_as_openai_writes_them(ms: int, text: str) -> None:
    assert duration(ms) == text
