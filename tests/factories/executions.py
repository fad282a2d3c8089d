"""Templates with names of their own, and requests to the API of executions."""

import json
import uuid
from typing import Any

from django.test import Client
from django.utils import timezone

from tests.factories.workflows import acting, document
from tests.support.accounts import Account
from workflows_app.models import ConfigStatus, WorkflowConfig

URL = "/api/v1/executions"
SAY: dict[str, Any] = {"action": "say"}


def call(account: Account, method: str, path: str, body: Any = None, **headers: str) -> Any:
    """Send a request to the API in this process."""
    data = body if isinstance(body, str) else json.dumps(body)
    client = Client(headers=account.headers | headers)
    return client.generic(method, path, data if method != "GET" else "", content_type="application/json")


def template(account: Account, *steps: dict[str, Any], name: str = "", version: str = "1.0.0") -> WorkflowConfig:
    """Return a published template of the made-up steps, or of the one step ``say``."""
    assert account.tenant.organization_id
    with acting(account.tenant):
        return WorkflowConfig.objects.create(
            organization_id=account.tenant.organization_id,
            workspace_id="general",
            version=version if name else f"1.0.{uuid.uuid4().int % 1_000_000}",
            name=name or f"made up {uuid.uuid4().hex[:12]}",
            status=ConfigStatus.PUBLISHED,
            published_at=timezone.now(),
            config=document(steps or [SAY]),
        )


def start(account: Account, config: WorkflowConfig, **fields: Any) -> Any:
    """Ask for a run; ``key`` is the Idempotency-Key."""
    key = fields.pop("key", "")
    headers = {"Idempotency-Key": key} if key else {}
    return call(account, "POST", URL, {"template": config.name, **fields}, **headers)
