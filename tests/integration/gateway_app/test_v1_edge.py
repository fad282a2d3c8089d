"""One call at /v1, from the caller's bytes to the books: whole answers, errors, keys and what their heads tell."""

import asyncio
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import transaction
from django.utils import timezone

from accounts_app.models import ApiKey
from accounts_app.services.api_keys import api_key_create, api_key_revoke
from accounts_app.tenancy.context import bound, operator_atomic
from billing_app.contracts import ZERO
from gateway_app.models import ModelEntry
from tests.factories.gateway import cost
from tests.support.accounts import Account, account_create
from tests.support.edge import Edge, on_edge, until_served
from tests.support.gateway import assert_settled
from tests.support.upstream import Behaviour, ScriptedUpstream

TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture
def account(committed_db: None) -> Account:
    """Somebody with 10 USD and a key."""
    return account_create()


def test_whole_answer_is_the_providers_byte_for_byte_and_tells_its_cost(
    account: Account, upstream: ScriptedUpstream
) -> None:
    async def work(edge: Edge) -> None:
        visit = await edge.ask(headers={"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}, max_tokens=200)
        (served,) = upstream.wait_idle()
        assert (visit.status, visit.headers["content-type"]) == (200, "application/json")
        assert visit.json["id"] == served.request_id
        assert visit.json["usage"]["prompt_tokens"] == served.prompt_tokens
        due = cost(served.prompt_tokens, served.completion_tokens)
        assert visit.headers["x-request-id"] == visit.headers["x-deepspace-trace-id"] == TRACE
        assert visit.headers["x-deepspace-model"] == "scripted"
        assert Decimal(visit.headers["x-deepspace-cost"]) == due
        assert Decimal(visit.headers["x-deepspace-balance"]) == 10 - due
        assert Decimal(visit.headers["x-deepspace-hold"]) > due
        assert int(visit.headers["openai-processing-ms"]) >= 0

    on_edge(account.secret, work)
    now = assert_settled(account.organization_id)
    assert (now.call.ending, now.call.trace_id, now.call.endpoint) == ("completed", TRACE, "chat/completions")


def test_unknown_fields_reach_the_provider_and_only_the_model_changes(
    account: Account, upstream: ScriptedUpstream
) -> None:
    async def work(edge: Edge) -> None:
        await edge.ask(x_custom={"deep": [1, 2.50]}, seed=7)

    on_edge(account.secret, work)
    (served,) = upstream.served
    assert (served.body["x_custom"], served.body["seed"], served.body["model"]) == ({"deep": [1, 2.5]}, 7, "scripted")


@pytest.mark.parametrize("secret", ["", "dsk_00000000_nobody"])
def test_no_key_or_an_unknown_one_is_401_and_reaches_nobody(
    account: Account, upstream: ScriptedUpstream, secret: str
) -> None:
    async def work(edge: Edge) -> None:
        visit = await edge.ask()
        assert (visit.status, visit.error["code"]) == (401, "invalid_api_key")
        assert visit.headers["www-authenticate"] == "Bearer"

    on_edge(secret, work)
    assert upstream.served == []


def test_revoked_key_is_refused_at_once_though_its_card_is_kept(account: Account, upstream: ScriptedUpstream) -> None:
    async def work(edge: Edge) -> None:
        assert (await edge.ask()).status == 200
        await asyncio.to_thread(_revoke, account)
        visit = await edge.ask()
        assert (visit.status, visit.error["code"]) == (401, "invalid_api_key")

    on_edge(account.secret, work)
    assert len(upstream.served) == 1


def test_key_that_expires_is_refused_though_its_card_is_kept(account: Account, upstream: ScriptedUpstream) -> None:
    expires_at = timezone.now() + timedelta(seconds=4)
    with operator_atomic("test"):
        ApiKey.objects.filter(organization_id=account.organization_id).update(expires_at=expires_at)

    async def work(edge: Edge) -> None:
        assert (await edge.ask()).status == 200
        await asyncio.sleep(max(0, (expires_at - timezone.now()).total_seconds()) + 0.1)
        assert (await edge.ask()).status == 401

    on_edge(account.secret, work)


def test_key_without_the_scope_calls_nothing(account: Account, upstream: ScriptedUpstream) -> None:
    with bound(account.tenant), transaction.atomic():
        key = api_key_create(name="reader", scopes=["read"])

    async def work(edge: Edge) -> None:
        assert (await edge.ask()).status == 403
        assert (await edge.get("models")).status == 403

    on_edge(key.secret, work)
    assert upstream.served == []


def test_key_for_some_models_calls_and_lists_only_them(account: Account, upstream: ScriptedUpstream) -> None:
    with bound(account.tenant), transaction.atomic():
        key = api_key_create(name="slow only", models=["scripted--slow*"])

    async def work(edge: Edge) -> None:
        refused = await edge.ask()
        assert (refused.status, refused.error["code"], refused.error["param"]) == (404, "model_not_found", "model")
        assert (await edge.ask(model="scripted--slow=5", max_tokens=2)).status == 200
        listed = await edge.get("models")
        keys = {model["id"] for model in listed.json["data"]}
        assert keys >= {"scripted--slow=5", "scripted--slow=30"}
        assert all(key.startswith("scripted--slow") for key in keys)
        assert (await edge.get("models/scripted--slow=5")).json["id"] == "scripted--slow=5"
        assert (await edge.get("models/scripted")).status == 404

    on_edge(key.secret, work)


def test_models_have_openais_shape(account: Account, upstream: ScriptedUpstream) -> None:
    async def work(edge: Edge) -> None:
        content = (await edge.get("models")).json
        assert content["object"] == "list"
        model = next(model for model in content["data"] if model["id"] == "scripted")
        assert set(model) == {"id", "object", "created", "owned_by"}
        assert (model["object"], type(model["created"])) == ("model", int)

    on_edge(account.secret, work)


def test_paths_that_nothing_prices_never_reach_a_provider(account: Account, upstream: ScriptedUpstream) -> None:
    async def work(edge: Edge) -> None:
        for path in ("audio/speech", "files", "chat/completions/", "../v1/chat/completions"):
            visit = await edge.ask(path)
            assert (visit.status, visit.error["code"]) == (404, "unknown_url"), path

    on_edge(account.secret, work)
    assert upstream.served == []


def test_model_of_another_kind_is_not_served_at_a_path(account: Account, upstream: ScriptedUpstream) -> None:
    async def work(edge: Edge) -> None:
        visit = await edge.ask("embeddings", input="tea")
        assert (visit.status, visit.error["param"]) == (404, "model")

    on_edge(account.secret, work)
    assert upstream.served == []


def test_wrong_method_is_told_the_right_one(account: Account, upstream: ScriptedUpstream) -> None:
    async def work(edge: Edge) -> None:
        visit = await edge.get("chat/completions")
        assert (visit.status, visit.headers["allow"]) == (405, "POST")
        visit = await edge.ask("models")
        assert (visit.status, visit.headers["allow"]) == (405, "GET")

    on_edge(account.secret, work)


def test_unknown_model_is_404(account: Account, upstream: ScriptedUpstream) -> None:
    async def work(edge: Edge) -> None:
        visit = await edge.ask(model="nobody-knows")
        assert (visit.status, visit.error["code"]) == (404, "model_not_found")

    on_edge(account.secret, work)


def test_model_switched_off_is_refused_though_the_catalogue_is_kept(
    account: Account, upstream: ScriptedUpstream
) -> None:
    async def work(edge: Edge) -> None:
        assert (await edge.ask(model="scripted--tools")).status == 200
        await asyncio.to_thread(_switch, "scripted--tools", is_active=False)
        try:
            visit = await edge.ask(model="scripted--tools")
            assert (visit.status, visit.error["code"]) == (404, "model_not_found")
        finally:
            await asyncio.to_thread(_switch, "scripted--tools", is_active=True)

    on_edge(account.secret, work)
    assert len(upstream.served) == 1


def test_malformed_bodies_name_the_field(account: Account, upstream: ScriptedUpstream) -> None:
    async def work(edge: Edge) -> None:
        visit = await edge.ask(messages="hello")
        assert (visit.status, visit.error["param"]) == (400, "messages")
        broken = edge.visit()
        broken._bodies = [b'{"model":']
        await edge.begin(broken)
        assert (broken.status, broken.error["type"]) == (400, "invalid_request_error")
        typed = await edge.ask(headers={"Content-Type": "text/plain"})
        assert typed.status == 415

    on_edge(account.secret, work)
    assert upstream.served == []


def test_no_funds_is_402_and_reaches_nobody(committed_db: None, upstream: ScriptedUpstream) -> None:
    poor = account_create(balance=0)

    async def work(edge: Edge) -> None:
        visit = await edge.ask()
        assert (visit.status, visit.error["code"]) == (402, "insufficient_quota")
        assert visit.headers["x-should-retry"] == "false"

    on_edge(poor.secret, work)
    assert upstream.served == []


def test_callers_mistake_is_told_in_the_providers_words(account: Account, upstream: ScriptedUpstream) -> None:
    async def work(edge: Edge) -> None:
        visit = await edge.ask(model="scripted--refuse")
        assert visit.status == 400
        assert visit.error["code"] == "content_policy_violation"
        assert visit.error["message"] == "Scripted 400."
        assert Decimal(visit.headers["x-deepspace-cost"]) == 0

    on_edge(account.secret, work)
    assert assert_settled(account.organization_id).call.ending == "refused"
    assert len(upstream.served) == 1


def test_provider_that_fails_is_asked_again_and_the_caller_sees_one_answer(
    account: Account, upstream: ScriptedUpstream
) -> None:
    upstream.behave(Behaviour(status=500), Behaviour(reset=True), Behaviour(text="Tea."))

    async def work(edge: Edge) -> None:
        visit = await edge.ask()
        assert visit.json["choices"][0]["message"]["content"] == "Tea."

    on_edge(account.secret, work)
    now = assert_settled(account.organization_id)
    assert [attempt.status for attempt in now.attempts] == ["failed", "failed", "answered"]
    assert [attempt.http_status for attempt in now.attempts] == [500, None, 200]


def test_provider_that_fails_at_every_try_is_503(account: Account, upstream: ScriptedUpstream) -> None:
    async def work(edge: Edge) -> None:
        visit = await edge.ask(model="scripted--500")
        assert (visit.status, visit.error["code"]) == (503, "model_unavailable")
        assert int(visit.headers["retry-after"]) > 0

    on_edge(account.secret, work)
    now = assert_settled(account.organization_id)
    assert (now.call.ending, now.captured) == ("refused", ZERO)
    assert len(upstream.served) == 4


def test_caller_who_leaves_before_the_answer_closes_the_upstream(account: Account, upstream: ScriptedUpstream) -> None:
    async def work(edge: Edge) -> None:
        visit = edge.visit(model="scripted--hang")
        task = edge.begin(visit)
        await until_served(upstream)
        visit.leave()
        await task
        assert visit.sent == []

    on_edge(account.secret, work)
    (served,) = upstream.wait_idle()
    assert served.outcome == "client_gone"
    now = assert_settled(account.organization_id)
    assert (now.call.ending, now.captured) == ("client_gone", ZERO)


def test_stopping_server_settles_what_it_leaves(account: Account, upstream: ScriptedUpstream) -> None:
    async def work(edge: Edge) -> None:
        task = edge.begin(edge.visit(model="scripted--hang"))
        await until_served(upstream)
        task.cancel()

    on_edge(account.secret, work)
    assert assert_settled(account.organization_id).call.ending == "client_gone"


def test_many_calls_at_once_are_each_settled_once(account: Account, upstream: ScriptedUpstream) -> None:
    async def work(edge: Edge) -> None:
        visits = await asyncio.gather(*(edge.ask(max_tokens=20) for _number in range(40)))
        assert {visit.status for visit in visits} == {200}

    on_edge(account.secret, work)
    now = assert_settled(account.organization_id)
    assert len(now.calls) == len(upstream.served) == 40
    calls, prompt, completion = upstream.totals()
    assert (calls, now.captured) == (40, cost(prompt, completion))


def _revoke(account: Account) -> None:
    with bound(account.tenant), transaction.atomic():
        (key,) = ApiKey.objects.filter(organization_id=account.organization_id)
        api_key_revoke(api_key_id=key.pk)


def _switch(model: str, *, is_active: bool) -> None:
    with operator_atomic("test"):
        ModelEntry.objects.filter(key=model).update(is_active=is_active)
