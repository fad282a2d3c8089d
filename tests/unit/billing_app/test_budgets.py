"""A budget lets through what fits, counts what is held and spent, and starts anew with its period."""

import uuid
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.db import IntegrityError, connection, transaction

from accounts_app.exceptions import InvalidInput, NotFound, PermissionRefused
from accounts_app.models import AuditLog
from accounts_app.services.api_keys import api_key_create
from accounts_app.services.projects import project_create
from accounts_app.tenancy.context import operator_atomic, tenant_atomic
from billing_app.exceptions import BudgetExceeded, InsufficientFunds
from billing_app.models import Budget, BudgetWindow, Hold
from billing_app.services.budgets import budget_change, budget_remove, budget_set, budgets_for, budgets_over_soft
from billing_app.services.checks import ledger_check
from billing_app.services.holds import capture_refund, hold_capture, hold_extend, hold_release, holds_expire
from tests.factories.accounts import Person, person, team
from tests.factories.billing import budget_of, hold_of, price_of, topped_up, usage_of

pytestmark = pytest.mark.django_db
USD = Decimal


@pytest.fixture
def ada() -> Person:
    ada = person()
    topped_up(ada.organization_id, "100")
    return ada


def window() -> tuple[Decimal, Decimal]:
    """Return what the only window has spent and holds."""
    return BudgetWindow.objects.values_list("spent", "held").get()


def test_a_budget_counts_through_a_holds_whole_life(ada: Person) -> None:
    with ada.at_work():
        budget_of(ada, "10")
        hold = hold_of(ada.organization_id, "4")
        assert window() == (USD(0), USD(4))
        hold_extend(hold_id=hold.id, amount=USD(6))
        assert window() == (USD(0), USD(6))
        hold_capture(hold_id=hold.id, amount=USD(5), key="c")
        assert window() == (USD(5), USD(0))
        capture_refund(hold_id=hold.id, amount=USD(2), key="f")
        assert window() == (USD(3), USD(0))
        other = hold_of(ada.organization_id, "7")
        assert window() == (USD(3), USD(7))
        hold_release(hold_id=other.id, key="r")
        assert window() == (USD(3), USD(0))


def test_an_expired_hold_leaves_its_budget(ada: Person) -> None:
    with ada.at_work():
        budget_of(ada, "10")
        hold = hold_of(ada.organization_id, "4")
        Hold.objects.filter(pk=hold.id).update(expires_at="2020-01-01T00:00:00Z")
    with operator_atomic("test"):
        assert holds_expire() == 1
    with ada.at_work():
        assert window() == (USD(0), USD(0))


def test_what_does_not_fit_is_refused_and_changes_nothing(ada: Person) -> None:
    with ada.at_work():
        budget = budget_of(ada, "10")
        hold_of(ada.organization_id, "4")
        with pytest.raises(BudgetExceeded) as refused:
            hold_of(ada.organization_id, "6.0000000001")
        assert (refused.value.budget_id, refused.value.scope) == (budget.id, "organization")
        assert (refused.value.limit, refused.value.left) == (USD(10), USD(6))
        assert refused.value.on_exceed == "refuse"
        assert window() == (USD(0), USD(4))
        assert Hold.objects.count() == 1
        hold_of(ada.organization_id, "6")


def test_an_extension_must_fit_too(ada: Person) -> None:
    with ada.at_work():
        budget_of(ada, "10")
        hold = hold_of(ada.organization_id, "4")
        with pytest.raises(BudgetExceeded) as refused:
            hold_extend(hold_id=hold.id, amount=USD(11))
        assert refused.value.left == USD(6)
        assert window() == (USD(0), USD(4))
        assert hold_extend(hold_id=hold.id, amount=USD(10)).amount == USD(10)


def test_money_is_asked_for_before_budgets(ada: Person) -> None:
    with ada.at_work():
        budget_of(ada, "10")
        with pytest.raises(InsufficientFunds):
            hold_of(ada.organization_id, "101")


def test_each_scope_counts_its_own_calls_and_all_must_fit(ada: Person) -> None:
    with ada.at_work():
        project_id = project_create(name="Papers").id
        key_id = api_key_create(name="ci").id
        limits: list[tuple[str, UUID | None, str]] = [
            ("organization", None, "20"), ("project", project_id, "10"), ("member", ada.id, "19"), ("key", key_id, "5"),
        ]  # fmt: skip
        for scope, subject_id, limit in limits:
            budget_of(ada, limit, scope=scope, subject_id=subject_id)
        hold_of(ada.organization_id, "5", api_key_id=key_id)
        for project, key, amount, scope in [
            (None, key_id, "0.1", "key"), (project_id, None, "10.1", "project"), (None, None, "14.1", "member"),
        ]:  # fmt: skip
            with pytest.raises(BudgetExceeded) as refused:
                hold_of(ada.organization_id, amount, project_id=project, api_key_id=key)
            assert refused.value.scope == scope
        hold_of(ada.organization_id, "10", project_id=project_id)
    with tenant_atomic(ada.organization_id):
        # Of nobody in particular: only the organization's budget counts it.
        with pytest.raises(BudgetExceeded) as refused:
            hold_of(ada.organization_id, "5.1")
        assert refused.value.scope == "organization"
        hold_of(ada.organization_id, "5")
        held = dict(BudgetWindow.objects.values_list("budget__scope", "held"))
    assert held == {"organization": USD(20), "project": USD(10), "member": USD(15), "key": USD(5)}


def test_a_budget_that_refuses_is_named_before_one_that_falls_back(ada: Person) -> None:
    with ada.at_work():
        budget_of(ada, "10", on_exceed="fallback")
        budget_of(ada, "20", scope="member", subject_id=ada.id)
        with pytest.raises(BudgetExceeded) as cheaper:
            hold_of(ada.organization_id, "15")
        with pytest.raises(BudgetExceeded) as refused:
            hold_of(ada.organization_id, "25")
    assert (cheaper.value.on_exceed, cheaper.value.scope) == ("fallback", "organization")
    assert (refused.value.on_exceed, refused.value.scope) == ("refuse", "member")


@pytest.mark.parametrize(("period", "days_ago", "start"), [
    ("day", 1, lambda today: today), ("month", 31, lambda today: today.replace(day=1)),
])  # fmt: skip
def test_a_new_period_starts_from_nothing_and_old_holds_settle_in_theirs(
    ada: Person, period: str, days_ago: int, start: Any
) -> None:
    with ada.at_work():
        budget = budget_of(ada, "10", period=period)
        hold = hold_of(ada.organization_id, "9")
        # As if both were of an earlier period.
        past = datetime.now(UTC).date() - timedelta(days=days_ago)
        BudgetWindow.objects.update(period_start=past)
        Budget.objects.update(created_at=datetime(past.year, past.month, past.day, tzinfo=UTC) - timedelta(days=40))
        hold_of(ada.organization_id, "10")
        hold_capture(hold_id=hold.id, amount=USD(9), key="c")
        windows = BudgetWindow.objects.filter(budget_id=budget.id).order_by("period_start")
        figures = list(windows.values_list("period_start", "spent", "held"))
    assert figures == [(past, USD(9), USD(0)), (start(datetime.now(UTC).date()), USD(0), USD(10))]


def test_a_budget_without_end_has_one_window(ada: Person) -> None:
    with ada.at_work():
        budget_of(ada, "10", period="total")
        hold_of(ada.organization_id, "1")
        assert BudgetWindow.objects.get().period_start == date(1970, 1, 1)


def test_what_was_spent_before_the_budget_was_set_counts(ada: Person) -> None:
    price = price_of()
    with ada.at_work():
        key_id = api_key_create(name="ci").id
    usage_of(ada.organization_id, price, charged_usd=USD(3), api_key_id=key_id)
    usage_of(ada.organization_id, price, charged_usd=USD(4))
    with ada.at_work():
        budget_of(ada, "10", scope="key", subject_id=key_id)
        budget_of(ada, "10")
        taken = dict(BudgetWindow.objects.values_list("budget__scope", "spent"))
        assert taken == {"key": USD(3), "organization": USD(7)}
        with pytest.raises(BudgetExceeded):
            hold_of(ada.organization_id, "3.1")


def test_a_change_holds_with_the_next_call_and_is_audited(ada: Person) -> None:
    with ada.at_work():
        budget = budget_of(ada, "1")
        with pytest.raises(BudgetExceeded):
            hold_of(ada.organization_id, "2")
        assert budget_change(budget_id=budget.id, limit_usd=USD(2)).limit_usd == USD(2)
        hold_of(ada.organization_id, "2")
        budget_change(budget_id=budget.id, is_active=False)
        hold_of(ada.organization_id, "2")
        assert window() == (USD(0), USD(4))
        budget_change(budget_id=budget.id, is_active=True, limit_usd=USD(5))
        with pytest.raises(BudgetExceeded):
            hold_of(ada.organization_id, "1.1")
        changes = AuditLog.objects.filter(action="budget.change", target_id=str(budget.id)).order_by("created_at")
        assert [row.data["before"] for row in changes] == [
            {"limit_usd": "1.0000000000"}, {"is_active": "True"},
            {"limit_usd": "2.0000000000", "is_active": "False"},
        ]  # fmt: skip


def test_setting_a_budget_again_changes_it(ada: Person) -> None:
    with ada.at_work():
        first, second = budget_of(ada, "1"), budget_of(ada, "2")
        assert first.id == second.id
        assert Budget.objects.get().limit_usd == USD(2)


def test_a_removed_budget_is_forgotten_while_its_holds_go_on(ada: Person) -> None:
    with ada.at_work():
        budget = budget_of(ada, "5")
        hold = hold_of(ada.organization_id, "5")
        budget_remove(budget_id=budget.id)
        hold_extend(hold_id=hold.id, amount=USD(50))
        assert hold_capture(hold_id=hold.id, amount=USD(50), key="c") == USD(50)
        assert BudgetWindow.objects.count() == 0
        assert AuditLog.objects.filter(action="budget.remove", target_id=str(budget.id)).exists()


def test_only_owners_and_admins_set_budgets() -> None:
    owner, admin, member = team("admin", "member")
    with owner.at_work():
        budget = budget_of(owner, "5")
    with admin.at_work():
        budget_change(budget_id=budget.id, limit_usd=USD(6))
    with member.at_work():
        for deed in (
            lambda: budget_of(member, "5"),
            lambda: budget_change(budget_id=budget.id, limit_usd=USD(7)),
            lambda: budget_remove(budget_id=budget.id),
        ):
            with pytest.raises(PermissionRefused):
                deed()


def test_others_budgets_are_not_found_and_an_operator_reaches_all(ada: Person) -> None:
    with ada.at_work():
        budget = budget_of(ada, "5")
    with person().at_work():
        with pytest.raises(NotFound):
            budget_change(budget_id=budget.id, limit_usd=USD(7))
        with pytest.raises(NotFound):
            budget_remove(budget_id=budget.id)
    with operator_atomic("test"):
        assert budget_change(budget_id=budget.id, limit_usd=USD(7)).limit_usd == USD(7)
        budget_set(
            organization_id=ada.organization_id, scope="member", subject_id=ada.id, period="day", limit_usd=USD(1)
        )
    with ada.at_work():
        assert {row.scope for row in budgets_for(organization_id=ada.organization_id, user_id=ada.id)} == {
            "organization", "member",
        }  # fmt: skip


@pytest.mark.parametrize(("bad", "field"), [
    ({"scope": "planet"}, "scope"), ({"period": "year"}, "period"), ({"on_exceed": "shrug"}, "on_exceed"),
    ({"limit_usd": USD(-1)}, "limit_usd"), ({"soft_percent": 0}, "soft_percent"),
    ({"soft_percent": 101}, "soft_percent"), ({"subject_id": uuid.uuid4()}, "subject_id"),
    ({"scope": "project"}, "subject_id"),
    *[({"scope": scope, "subject_id": uuid.uuid4()}, "subject_id") for scope in ("project", "member", "key")],
])  # fmt: skip
def test_a_wrong_field_is_named(ada: Person, bad: dict[str, Any], field: str) -> None:
    asked: dict[str, Any] = {"scope": "organization", "period": "month", "limit_usd": USD(1)} | bad
    with ada.at_work(), pytest.raises(InvalidInput) as refused:
        budget_set(**asked)
    assert [item.field for item in refused.value.details] == [field]


def test_a_budgets_scope_and_period_stay(ada: Person) -> None:
    with ada.at_work():
        budget = budget_of(ada, "5")
        with pytest.raises(TypeError, match="period"):
            budget_change(budget_id=budget.id, period="day")


def test_budgets_over_their_soft_threshold_are_told(ada: Person) -> None:
    with ada.at_work():
        budget = budget_of(ada, "10", soft_percent=50)
        hold = hold_of(ada.organization_id, "5")
        assert budgets_over_soft(ada.organization_id) == ()
        hold_capture(hold_id=hold.id, amount=USD(5), key="c")
        assert [item.id for item in budgets_over_soft(ada.organization_id)] == [budget.id]
        budget_change(budget_id=budget.id, is_active=False)
        assert budgets_over_soft(ada.organization_id) == ()


@pytest.mark.parametrize(("changed", "constraint"), [
    ({"scope": "planet"}, "budget_scope_known|budget_subject_when_scoped"), ({"period": "year"}, "budget_period_known"),
    ({"on_exceed": "shrug"}, "budget_on_exceed_known"), ({"limit_usd": USD(-1)}, "budget_limit_not_negative"),
    ({"soft_percent": 0}, "budget_soft_percent_1_to_100"), ({"soft_percent": 101}, "budget_soft_percent_1_to_100"),
    ({"scope": "key"}, "budget_subject_when_scoped"), ({"subject_id": uuid.uuid4()}, "budget_subject_when_scoped"),
])  # fmt: skip
def test_the_database_keeps_budgets_well_formed(ada: Person, changed: dict[str, Any], constraint: str) -> None:
    with ada.at_work():
        budget_of(ada, "5")
        with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
            Budget.objects.update(**changed)


def test_a_subject_has_one_budget_for_a_period(ada: Person) -> None:
    with ada.at_work():
        budget_of(ada, "5")
        again = Budget.objects.get()
        again.pk = uuid.uuid4()
        with pytest.raises(IntegrityError, match="budget_once"), transaction.atomic():
            again.save(force_insert=True)


def test_a_period_has_one_window_that_never_falls_below_nothing(ada: Person) -> None:
    with ada.at_work():
        budget_of(ada, "5")
        only = BudgetWindow.objects.get()
        for name in ("spent", "held", "opening"):
            with pytest.raises(IntegrityError, match="budget_window_not_negative"), transaction.atomic():
                BudgetWindow.objects.update(**{name: USD(-1)})
        only.pk = uuid.uuid4()
        with pytest.raises(IntegrityError, match="budget_window_once"), transaction.atomic():
            only.save(force_insert=True)


def test_a_window_cannot_belong_to_another_organizations_budget(ada: Person) -> None:
    other = person()
    with other.at_work():
        foreign = budget_of(other, "5")
    with ada.at_work():
        BudgetWindow.objects.create(
            organization_id=ada.organization_id, budget_id=foreign.id, period_start=date(1970, 1, 1)
        )
        with pytest.raises(IntegrityError, match="budget_windows_budget_id_same_organization"), transaction.atomic():
            connection.check_constraints()
        BudgetWindow.objects.all().delete()


def test_the_check_derives_windows_again(ada: Person) -> None:
    with ada.at_work():
        budget_of(ada, "50")
        hold_capture(hold_id=hold_of(ada.organization_id, "4").id, amount=USD(3), key="c")
        hold_of(ada.organization_id, "2")
        assert [item for item in ledger_check().differences if item.table == "budget_windows"] == []
        for changed in ({"spent": USD("3.0000000001")}, {"held": USD("1.9999999999")}):
            with transaction.atomic():
                BudgetWindow.objects.update(**changed)
                named = [item for item in ledger_check().differences if item.table == "budget_windows"]
                assert [item.row for item in named] == [str(BudgetWindow.objects.get().pk)]
                transaction.set_rollback(True)
