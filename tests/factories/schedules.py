"""Schedules of made-up workflows."""

import uuid
from typing import Any

from accounts_app.tenancy.context import Tenant
from tests.factories.workflows import acting, made_up_config
from workflows_app.models import WorkflowSchedule
from workflows_app.services.schedules import ScheduleFields, schedule_create


def template_of(tenant: Tenant) -> str:
    """Publish a workflow of one step that nobody carries out; returns its name@version."""
    config = made_up_config(tenant, "finish")
    return f"{config.name}@{config.version}"


def scheduled(tenant: Tenant, **fields: Any) -> WorkflowSchedule:
    """Return a schedule of the tenant's, each day at nine in Berlin unless said otherwise."""
    given = {"name": f"schedule {uuid.uuid4().hex[:8]}", "cron": "0 9 * * *", "timezone": "Europe/Berlin"} | fields
    given.setdefault("template", template_of(tenant))
    with acting(tenant):
        return schedule_create(fields=ScheduleFields(**given))
