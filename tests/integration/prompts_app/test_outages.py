"""PostgreSQL or Redis away while prompts are applied, rewritten, linted, judged: clear answers, nothing half-done."""

import json
import threading
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import close_old_connections, transaction
from django.test import Client

from accounts_app.tenancy.context import operator_atomic
from billing_app.models import Wallet
from billing_app.services.wallets import wallet_topup
from prompts_app.models import EvalRun, PromptBootstrapRun, PromptRun, PromptVersion
from prompts_app.services.suites import CaseDraft
from tests.factories.accounts import Person, person
from tests.factories.prompts import prompt_of, suite_of, version_of
from tests.support.gate import Gate
from tests.support.processes import wait_until
from tests.support.upstream import Behaviour, ScriptedUpstream

pytestmark = pytest.mark.usefixtures("committed_db")

# Says tea for the eval, and holds the prompt's messages for the rewrite.
ANSWER = (
    '<message role="system">\nAnswer in one short sentence on tea.\n</message>\n\n'
    '<message role="user">\n<question>{{ question }}</question>\n</message>'
)
DONE = {200, 201}
ROWS = (PromptRun, PromptBootstrapRun, EvalRun)


class Workbench:
    """Someone with money, a prompt with one version and a suite with one case, and the four calls of the API."""

    def __init__(self) -> None:
        self.owner: Person = person()
        with operator_atomic("test"):
            wallet_topup(organization_id=self.owner.organization_id, amount=Decimal(5), key=uuid4().hex)
        prompt = prompt_of(self.owner)
        self.prompt_id: UUID = prompt.pk
        self.version_id: UUID = version_of(self.owner, prompt).pk
        case = CaseDraft(name="tea", assertions=[{"type": "contains", "value": "tea"}], variables={"question": "Tea?"})
        self.suite_id: UUID = suite_of(self.owner, case).pk
        self.api: Client = self.owner.api()
        self.api.raise_request_exception = False
        close_old_connections()

    def apply(self, key: str = "") -> Any:
        return self._post(f"/api/prompts/{self.prompt_id}/apply", {"variables": {"question": "Why?"}}, key)

    def rewrite(self, key: str = "") -> Any:
        return self._post(f"/api/prompts/{self.prompt_id}/bootstrap/rewrite", {"instruction": "Shorter."}, key)

    def lint(self, key: str = "") -> Any:
        return self._post("/api/linter", {"version_id": str(self.version_id)}, key)

    def judge(self, key: str = "") -> Any:
        body = {"suite_id": str(self.suite_id), "version_id": str(self.version_id)}
        return self._post("/api/eval/run", body, key)

    def rows(self) -> int:
        """How many runs, rewrites, evals and versions there are."""
        with self.owner.at_work(), transaction.atomic():
            kept = sum(model.objects.filter(organization_id=self.owner.organization_id).count() for model in ROWS)
            return kept + PromptVersion.objects.filter(prompt_id=self.prompt_id).count()

    def wallet(self) -> Wallet:
        with self.owner.at_work(), transaction.atomic():
            return Wallet.objects.get(organization_id=self.owner.organization_id)

    def _post(self, path: str, body: dict[str, Any], key: str) -> Any:
        headers = {"Idempotency-Key": key} if key else {}
        try:
            return self.api.post(path, json.dumps(body), content_type="application/json", headers=headers)
        finally:
            close_old_connections()


Ask = Callable[..., Any]
CALLS = pytest.mark.parametrize("ask", [Workbench.apply, Workbench.rewrite, Workbench.lint, Workbench.judge])
MODEL_CALLS = pytest.mark.parametrize("ask", [Workbench.apply, Workbench.rewrite])


def assert_unavailable(response: Any) -> None:
    assert response.status_code == 503, response.content
    assert int(response["Retry-After"]) > 0
    error = response.json()["error"]
    assert error["code"] == "unavailable"
    assert error["trace_id"] == response["X-Trace-Id"]


@CALLS
def test_without_postgres_nobody_is_asked_and_nothing_is_stored(
    database_gate: Gate, upstream: ScriptedUpstream, ask: Ask
) -> None:
    bench = Workbench()
    before = bench.rows()
    close_old_connections()
    database_gate.shut()
    assert_unavailable(ask(bench))
    assert upstream.served == []
    database_gate.open()
    assert bench.rows() == before
    assert (bench.wallet().balance, bench.wallet().frozen) == (Decimal(5), Decimal(0))


@CALLS
def test_when_postgres_is_back_the_same_call_is_done(database_gate: Gate, upstream: ScriptedUpstream, ask: Ask) -> None:
    bench = Workbench()
    database_gate.shut()
    assert_unavailable(ask(bench, "the-same-key"))
    database_gate.open()
    upstream.behave(Behaviour(text=ANSWER))
    done = ask(bench, "the-same-key")
    assert done.status_code in DONE, done.content


@MODEL_CALLS
def test_postgres_lost_while_the_model_writes_is_told_and_leaves_no_half_row(
    database_gate: Gate, upstream: ScriptedUpstream, ask: Ask
) -> None:
    bench = Workbench()
    before = bench.rows()
    close_old_connections()
    upstream.behave(Behaviour(text="one two three four five six seven eight", delay=150))

    def shut_while_it_writes() -> None:
        wait_until(lambda: upstream.served, 20)
        database_gate.shut()

    shutting = threading.Thread(target=shut_while_it_writes)
    shutting.start()
    assert_unavailable(ask(bench))
    shutting.join()
    database_gate.open()
    assert bench.rows() == before
    # What was promised to the provider stays reserved until the call's fate is known; nothing is lost or taken twice.
    assert bench.wallet().balance == Decimal(5)
    upstream.behave(Behaviour(text=ANSWER))
    assert ask(bench).status_code in DONE


@CALLS
def test_without_redis_everything_is_done_and_paid_all_the_same(
    redis_gate: Gate, upstream: ScriptedUpstream, ask: Ask
) -> None:
    bench = Workbench()
    redis_gate.shut()
    upstream.behave(Behaviour(text=ANSWER))
    done = ask(bench)
    assert done.status_code in DONE, done.content
    wallet = bench.wallet()
    assert wallet.frozen == 0
    assert wallet.balance == Decimal(5) if ask is Workbench.lint else wallet.balance < Decimal(5)
