"""The figures on the page of an organization's runs."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.test import Client
from django.utils import timezone

from accounts_app.models import User
from accounts_app.tenancy.context import Tenant, operator_context
from tests.factories.statistics import Ending, Past, run_with_past
from tests.factories.workflows import made_up_config, owner
from workflows_app.services.statistics import statistics_restart, statistics_roll_up

pytestmark = [pytest.mark.django_db, pytest.mark.odd_runs("their pasts are made up")]
ADDRESS = "/fragments/runs/statistics/"


@pytest.fixture
def tenant(client: Client) -> Tenant:
    someone = owner()
    client.force_login(User.objects.get(pk__in=[someone.user_id]))
    return someone


def test_an_owner_sees_own_figures_and_nobody_elses(client: Client, tenant: Tenant) -> None:
    with operator_context("test"):
        statistics_restart()
        for whose, number in ((tenant, 3), (owner(), 5)):
            config = made_up_config(whose, "a")
            for _run in range(number):
                ending = Ending("completed", timedelta(seconds=4), Decimal("0.5"))
                run_with_past(whose, config, Past(timezone.now() - timedelta(days=2), timedelta(0), (ending,)))
        statistics_roll_up(lag=0)
    text = client.get(ADDRESS).content.decode()
    assert "3 runs started" in text
    assert "100% successful" in text
    assert "$1.5000" in text
    assert "5 runs" not in text
    assert client.get(f"{ADDRESS}?template=another").content.strip() == b""


def test_where_nothing_was_nothing_is_said(client: Client, tenant: Tenant) -> None:
    answer = client.get(ADDRESS)
    assert answer.status_code == 200
    assert answer.content.strip() == b""


def test_the_page_of_runs_asks_for_it(client: Client, tenant: Tenant) -> None:
    assert f'hx-get="{ADDRESS}"' in client.get("/runs/").content.decode()
