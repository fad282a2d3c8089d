"""Owners and admins hear of a budget once at the soft threshold and once at the limit, in their own language."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.core import mail
from django.core.mail import EmailMessage

from accounts_app.tenancy.context import operator_context
from billing_app import tasks
from billing_app.exceptions import BudgetExceeded
from billing_app.services import ledger
from billing_app.services.budget_notices import budgets_notify
from billing_app.services.budgets import budget_change
from billing_app.services.holds import hold_capture
from tests.factories.accounts import Person, person, team
from tests.factories.billing import budget_of, hold_of, topped_up

pytestmark = pytest.mark.django_db
USD = Decimal


def spend(owner: Person, amount: str) -> None:
    with owner.at_work():
        hold = hold_of(owner.organization_id, amount)
        hold_capture(hold_id=hold.id, amount=USD(amount), key=str(hold.id))


def notified() -> list[EmailMessage]:
    """Run the job and return the mails that it sent."""
    mail.outbox.clear()
    with operator_context("test"):
        budgets_notify()
    return list(mail.outbox)


def be_refused(owner: Person, amount: str) -> None:
    """Have a call refused, and what that wrote kept, as the gateway keeps it."""
    with owner.at_work():
        answer = ledger.function_call(
            "ledger_hold", organization=owner.organization_id, hold=owner.organization_id, amount=amount, key="refused",
            fingerprint="", ref="", expires_at="2030-01-01T00:00:00Z",
        )  # fmt: skip
    assert answer["outcome"] == "budget_exceeded"


def test_each_threshold_is_told_once_and_to_those_who_manage() -> None:
    owner, admin, _member, _viewer = team("admin", "member", "viewer")
    topped_up(owner.organization_id, "100")
    budget_of(owner, "10", soft_percent=50)
    spend(owner, "4")
    assert notified() == []
    spend(owner, "1")
    assert {tuple(message.to) for message in notified()} == {(owner.user.email,), (admin.user.email,)}
    assert notified() == []
    be_refused(owner, "6")
    messages = notified()
    assert {tuple(message.to) for message in messages} == {(owner.user.email,), (admin.user.email,)}
    assert "refused" in messages[0].body
    assert "5 of 10 USD" in messages[0].body
    be_refused(owner, "6")
    assert notified() == []


def test_a_budget_spent_to_the_last_place_is_at_its_limit() -> None:
    owner = person()
    topped_up(owner.organization_id, "100")
    budget_of(owner, "10")
    spend(owner, "10")
    (message,) = notified()
    assert message.subject.startswith("Budget used up")
    assert notified() == []


def test_a_raised_limit_makes_the_next_threshold_news_again() -> None:
    owner = person()
    topped_up(owner.organization_id, "100")
    budget = budget_of(owner, "10")
    spend(owner, "10")
    assert len(notified()) == 1
    with owner.at_work():
        budget_change(budget_id=budget.id, limit_usd=USD(20))
    assert notified() == []
    spend(owner, "7")
    (message,) = notified()
    assert message.subject.startswith("Budget at 80%")


def test_people_read_their_own_language() -> None:
    owner = person()
    owner.user.language = "zh-hans"
    owner.user.save()
    topped_up(owner.organization_id, "100")
    budget_of(owner, "10", on_exceed="fallback")
    spend(owner, "10")
    (message,) = notified()
    assert message.subject.startswith("预算已用完")
    assert "更便宜的模型" in message.body


def test_a_budget_that_is_switched_off_says_nothing() -> None:
    owner = person()
    topped_up(owner.organization_id, "100")
    budget = budget_of(owner, "10")
    with owner.at_work():
        budget_change(budget_id=budget.id, is_active=False)
    spend(owner, "20")
    assert notified() == []


def test_a_mail_server_that_is_away_is_tried_again(settings: Any, caplog: pytest.LogCaptureFixture) -> None:
    owner = person()
    topped_up(owner.organization_id, "100")
    budget_of(owner, "10")
    spend(owner, "10")
    works, settings.EMAIL_BACKEND = settings.EMAIL_BACKEND, "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    assert notified() == []
    assert "budget.notice_failed" in caplog.text
    settings.EMAIL_BACKEND = works
    assert len(notified()) == 1


def test_the_beat_task_runs_in_an_operator_context() -> None:
    assert tasks.notify_budgets() == 0


def test_a_refusal_in_process_says_what_is_left(django_assert_num_queries: Callable[[int], Any]) -> None:
    owner = person()
    topped_up(owner.organization_id, "100")
    budget_of(owner, "10")
    with owner.at_work(), django_assert_num_queries(1), pytest.raises(BudgetExceeded):
        hold_of(owner.organization_id, "11")
