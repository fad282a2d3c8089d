"""Operators reach every table of ours, and can change none that is append-only."""

import pytest
from django.apps import apps
from django.contrib import admin
from django.db import connection, models
from django.test import Client
from django.urls import reverse

from accounts_app.services.users import user_create

pytestmark = pytest.mark.django_db

OURS = [model for model in apps.get_models() if model.__module__.split(".")[0].endswith("_app")]


@pytest.fixture
def operator(client: Client) -> Client:
    client.force_login(user_create(email="operator@example.com", is_operator=True))
    return client


@pytest.mark.parametrize("model", OURS, ids=lambda model: model._meta.label)
def test_every_model_has_a_list_in_the_admin(operator: Client, model: type[models.Model]) -> None:
    assert model in admin.site._registry
    meta = model._meta
    address = reverse(f"admin:{meta.app_label}_{meta.model_name}_changelist")
    assert operator.get(address).status_code == 200
    assert operator.get(f"{address}?q=x").status_code == 200


def test_append_only_tables_cannot_be_changed_in_the_admin(operator: Client) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT tgrelid::regclass::text FROM pg_trigger WHERE tgname = 'append_only'")
        append_only = {table for (table,) in cursor.fetchall()}
    guarded = [model for model in OURS if model._meta.db_table in append_only]
    assert {"transactions", "audit_logs", "task_events", "run_events"} <= append_only
    for model in guarded:
        meta = model._meta
        address = reverse(f"admin:{meta.app_label}_{meta.model_name}_add")
        assert operator.get(address).status_code == 403, meta.label
