"""The interface of steps, as docs/pipeline.md tells it."""

import re
import sys
from datetime import datetime
from pathlib import Path
from types import ModuleType
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from pytest_django import Settings

from accounts_app.contracts import KeyCard
from accounts_app.exceptions import PermissionRefused
from accounts_app.tenancy.context import operator_atomic
from gateway_app.exceptions import ModelNotFound
from gateway_app.models import ModelEntry
from gateway_app.services.call import Call
from gateway_app.services.chat import chat, chat_stream
from gateway_app.services.house import house_run
from gateway_app.services.pipeline import steps
from tests.factories.gateway import chat_request
from tests.support.gateway import assert_settled
from tests.support.upstream import ScriptedUpstream

DOCUMENT = Path("docs/pipeline.md")


@pytest.fixture
def example(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The documented step, plugged in as documented."""
    source, plug = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    company, module = ModuleType("ourcompany"), ModuleType("ourcompany.steps")
    exec(source, module.__dict__)  # noqa: S102 - our own document
    monkeypatch.setitem(sys.modules, "ourcompany", company)
    monkeypatch.setitem(sys.modules, "ourcompany.steps", module)
    names = list(settings.GATEWAY_STEPS)
    exec(plug, {"GATEWAY_STEPS": names})  # noqa: S102 - our own document
    settings.GATEWAY_STEPS = names
    return module


def _card(organization_id: UUID) -> KeyCard:
    return KeyCard(
        organization_id=organization_id,
        user_id=organization_id,
        role="member",
        api_key_id=organization_id,
        api_key_name="k",
        project_id=None,
        log_prompts=False,
        scopes=frozenset({"inference"}),
        models=(),
        ip_rules=(),
        expires_at=None,
        policy_revision=0,
        ip_revision=0,
    )


def test_the_documented_step_is_asked_in_its_place_and_may_refuse(
    payer: UUID, upstream: ScriptedUpstream, example: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [type(step).__name__ for step in steps()]
    assert names == ["Authenticate", "Access", "OfficeHours", "Route", "Limits", "Count"]
    with chat_stream(chat_request()) as stream:
        call: Call = stream._chat.call
        list(stream)
    assert assert_settled(payer).call.ending == "completed"

    class Clock:
        hour = 12

        @classmethod
        def now(cls, zone: ZoneInfo) -> datetime:
            return datetime(2026, 1, 1, cls.hour, tzinfo=zone)

    monkeypatch.setattr(example, "datetime", Clock)
    step = example.OfficeHours()
    call.card = _card(payer)
    house_run(step.before(call))
    Clock.hour = 20
    with pytest.raises(PermissionRefused, match="rest"):
        house_run(step.before(call))


def test_each_step_is_timed(payer: UUID, upstream: ScriptedUpstream, settings: Settings) -> None:
    with chat_stream(chat_request()) as stream:
        list(stream)
        timings = stream._chat.call.timings
    assert set(timings) == {"Authenticate", "Access", "Route", "Limits", "Count", "hold", "settle"}
    assert all(seconds >= 0 for seconds in timings.values())


def test_the_document_names_every_step(settings: Settings) -> None:
    document = DOCUMENT.read_text()
    assert all(f"| `{path.rsplit('.', 1)[1]}` |" in document for path in settings.GATEWAY_STEPS)


def test_a_model_reads_no_more_than_fits_its_context(payer: UUID, upstream: ScriptedUpstream) -> None:
    chat(chat_request("x" * 300_000))
    held = assert_settled(payer).holds[0].amount
    with chat_stream(chat_request("x" * 600_000)) as stream:
        assert stream._chat.call.hold_usd == held
        list(stream)


def test_a_model_of_another_kind_is_no_chat_model(payer: UUID, upstream: ScriptedUpstream) -> None:
    with operator_atomic("test"):
        key = ModelEntry.objects.filter(kind="embedding", is_active=True).values_list("key", flat=True)[0]
    with pytest.raises(ModelNotFound):
        chat(chat_request(model=key))
    assert upstream.served == []
