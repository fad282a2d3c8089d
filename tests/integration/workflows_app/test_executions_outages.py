"""Executions while what they need is away."""

import httpx2

from config.runtime.ports import free_port
from tests.support.accounts import Account
from tests.support.stack import Stack

URL = "/api/v1/executions"
BODY = {"template": "General", "input": {"brief": "Tea."}}


def test_postgres_down_is_503_in_the_error_format(stack: Stack, tenant_with_money: Account) -> None:
    port = free_port()
    stack.spawn_web({"DATABASE_URL": "postgres://x:x@127.0.0.1:1/x"}, port=port)
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}", headers=tenant_with_money.headers, timeout=60) as api:
        for response in (api.post(URL, json=BODY), api.get(URL), api.get(f"{URL}/statistics")):
            assert response.status_code == 503
            assert response.json()["error"]["code"] == "unavailable"
            assert response.headers["Retry-After"]


def test_a_start_needs_no_broker(stack: Stack, tenant_with_money: Account) -> None:
    port = free_port()
    stack.spawn_web({"REDIS_URL": "redis://127.0.0.1:1/0"}, port=port)
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}", headers=tenant_with_money.headers, timeout=60) as api:
        started = api.post(URL, json=BODY)
        assert started.status_code == 201, started.text
        ended = api.post(f"{URL}/{started.json()['id']}/cancel")
        assert (ended.status_code, ended.json()["status"]) == (200, "cancelled")
