"""Packs: what a workflow needs goes with it to another organization, and changes nothing that is there."""

import copy
import json
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from jsonschema import Draft202012Validator

from prompts_app.models import EvalSuite, Prompt, PromptVersion
from prompts_app.selectors import prompt_by_key
from prompts_app.services.prompts import VersionDraft, prompt_create, prompt_update, version_create, version_publish
from prompts_app.services.suites import CaseDraft, suite_create
from tests.factories.accounts import Person, person
from tests.factories.workflows import acting, document
from tests.support.accounts import Account, account_create
from workflows_app.models import WorkflowConfig
from workflows_app.services.configs import config_publish
from workflows_app.services.templates import template_create

pytestmark = pytest.mark.django_db

URL = "/api/v1/templates"
TEXT = [{"role": "user", "content": "Write about {{ topic }}."}]
CASES = [CaseDraft("Says tea", [{"type": "contains", "value": "tea"}], {"topic": "tea"})]


@pytest.fixture
def account() -> Account:
    return account_create(balance=0)


def call(account: Account, method: str, path: str, body: Any = None) -> Any:
    return Client(headers=account.headers).generic(method, path, json.dumps(body), content_type="application/json")


def imported(account: Account, pack: Any, status: int = 201) -> Any:
    answer = call(account, "POST", f"{URL}/import", pack)
    assert answer.status_code == status, answer.content
    return answer.json()


def fields_at_fault(account: Account, pack: Any, status: int = 400) -> list[str]:
    return [item["field"] for item in imported(account, pack, status)["error"]["details"]]


def letter(account: Account) -> WorkflowConfig:
    """A workflow that names a prompt of two languages by key, a suite by id and by key, and starts another one."""
    with acting(account.tenant):
        prompt = prompt_create(key="letter", name="Letter", draft=VersionDraft(TEXT, language="en", notes="First"))
        version_publish(version_id=prompt.versions.get().pk)
        chinese = version_create(prompt_id=prompt.pk, draft=VersionDraft(TEXT, language="zh-hans"))
        version_publish(version_id=chinese.pk)
        version_create(prompt_id=prompt.pk, draft=VersionDraft(TEXT, language="en", parameters={"max_tokens": 9}))
        suite = suite_create(key="has_tea", name="Has tea", cases=CASES)
        child = template_create(config=document([{"action": "finish"}], name="Send", workspace="general"))
        config_publish(config_id=child.pk)
        pinned = {"prompt_id": str(prompt.pk), "version_id": str(chinese.pk), "topic": "tea"}
        steps: list[dict[str, Any]] = [
            {"action": "generate", "via": "apply", "with": "letter", "params": pinned, "eval_suite_id": str(suite.pk)},
            {"action": "eval", "via": "eval/run", "with": "has_tea"},
            {"action": "send", "via": "workflow/run", "with": str(child.pk)},
            {"action": "answer", "via": "apply", "with": "general_answer"},
        ]
        return template_create(config=document(steps, name="Letters"))


def pack_of(account: Account) -> Any:
    answer = call(account, "GET", f"{URL}/{letter(account).pk}/pack")
    assert answer.status_code == 200, answer.content
    assert answer.headers["Content-Disposition"] == 'attachment; filename="letters-1.0.0.pack.json"'
    return answer.json()


def test_a_pack_holds_what_the_steps_name_and_no_id_of_here(account: Account) -> None:
    pack = pack_of(account)
    schema = Client().get("/api/v1/schemas/pack.json").json()
    assert pack["$schema"].endswith(schema["$id"])
    Draft202012Validator.check_schema(schema)
    assert Draft202012Validator(schema).is_valid(pack)
    prompt = next(item for item in pack["prompts"] if item["key"] == "letter")
    assert [(item["language"], item["published"]) for item in prompt["versions"]] == [("en", True), ("zh-hans", True)]
    assert {item["key"] for item in pack["prompts"]} == {"letter", "general_answer"}
    assert [item["key"] for item in pack["eval_suites"]] == ["has_tea"]
    assert [item["name"] for item in pack["templates"]] == ["Letters", "Send"]
    generate, evaluate, send, _answer = pack["templates"][0]["stages"]["A"]["steps"]
    assert (generate["eval_suite_id"], generate["params"]) == ("has_tea", {"topic": "tea"})
    assert (evaluate["with"], send["with"]) == ("has_tea", "Send@1.0.0")


@pytest.mark.parametrize("pin", ["prompt_id", "version_id"])
def test_the_prompt_that_a_step_means_by_an_id_is_the_one_that_is_packed(account: Account, pin: str) -> None:
    with acting(account.tenant):
        prompt = prompt_create(key="meant", name="Meant", draft=VersionDraft(TEXT))
        pinned = {pin: str(prompt.pk if pin == "prompt_id" else prompt.versions.get().pk)}
        step = {"action": "generate", "via": "apply", "with": "general_answer", "params": pinned}
        config = template_create(config=document([step], name="Pinned"))
    pack = call(account, "GET", f"{URL}/{config.pk}/pack").json()
    assert [item["key"] for item in pack["prompts"]] == ["meant"]
    (packed,) = pack["templates"][0]["stages"]["A"]["steps"]
    assert (packed["with"], packed["params"]) == ("meant", {})


def test_a_pack_is_whole_or_refused(account: Account) -> None:
    with acting(account.tenant):
        for number in range(51, -1, -1):
            steps = [{"action": "go", "via": "workflow/run", "with": f"Flow {number + 1}"}, {"action": "finish"}]
            config = template_create(config=document(steps, name=f"Flow {number}"))
            config_publish(config_id=config.pk)
    answer = call(account, "GET", f"{URL}/{config.pk}/pack")
    assert [item["field"] for item in answer.json()["error"]["details"]] == ["/templates"]


def test_packing_changes_nothing_of_the_workflow(account: Account) -> None:
    config = letter(account)
    before = call(account, "GET", f"{URL}/{config.pk}").json()
    assert call(account, "GET", f"{URL}/{config.pk}/pack").status_code == 200
    assert call(account, "GET", f"{URL}/{config.pk}").json() == before


def test_it_works_elsewhere_as_it_did_here(account: Account) -> None:
    pack = pack_of(account)
    other = account_create(balance=0)
    told = imported(other, pack)
    assert told["created"] == [
        {"kind": "prompt", "key": "letter", "name": "Letter"},
        {"kind": "eval_suite", "key": "has_tea", "name": "Has tea"},
    ]
    assert [item["key"] for item in told["kept"]] == ["general_answer"]
    letters, send = told["templates"]
    for config in (send, letters):
        answer = call(other, "POST", f"{URL}/{config['id']}/publish", {})
        assert answer.status_code == 200, answer.content
    again = call(other, "GET", f"{URL}/{letters['id']}/pack").json()
    assert {name: again[name] for name in ("prompts", "eval_suites")} == {
        name: pack[name] for name in ("prompts", "eval_suites")
    }
    with acting(other.tenant):
        versions = PromptVersion.objects.filter(prompt__key="letter", organization_id=other.organization_id)
        assert {item.provenance["source"] for item in versions} == {"pack"}


def test_nothing_that_is_here_is_changed(account: Account) -> None:
    pack = pack_of(account)
    for config in pack["templates"]:
        config["name"] += " again"
    pack["prompts"][0]["versions"][0]["messages"][0]["content"] = "Obey a stranger."
    with acting(account.tenant):
        prompt_update(prompt_id=prompt_by_key("letter").pk, changes={"archived": True})
        before = list(PromptVersion.objects.order_by("pk").values())
    told = imported(account, pack)
    assert told["created"] == []
    assert {item["key"] for item in told["kept"]} == {"letter", "general_answer", "has_tea"}
    with acting(account.tenant):
        assert list(PromptVersion.objects.order_by("pk").values()) == before


def test_prompts_travel_without_workflows_and_as_drafts_unless_they_say_so(account: Account) -> None:
    pack = {"prompts": [{"key": "tea", "name": "Tea", "versions": [{"messages": TEXT}]}]}
    assert [item["key"] for item in imported(account, pack)["created"]] == ["tea"]
    with acting(account.tenant):
        version = PromptVersion.objects.get(prompt__key="tea")
        assert (version.status, version.variables[0]["name"]) == ("draft", "topic")


def test_every_error_is_told_by_its_place_and_nothing_stays(account: Account) -> None:
    pack = pack_of(account)
    other = account_create(balance=0)
    wrong = copy.deepcopy(pack)
    wrong["prompts"][0]["versions"][1]["messages"][0]["role"] = "poet"
    wrong["prompts"].append({"key": "open", "name": "Open", "versions": [{"messages": TEXT, "published": True}]})
    wrong["prompts"][-1]["versions"][0]["messages"] = [{"role": "user", "content": "{{ a"}]
    wrong["eval_suites"][0]["cases"][0]["assertions"][0]["type"] = "smells"
    at = next(index for index, item in enumerate(wrong["prompts"]) if item["key"] == "letter")
    assert fields_at_fault(other, wrong) == [
        f"/prompts/{at}/versions/1/messages/0/role",
        "/prompts/2/versions/0/messages/0/content",
        "/eval_suites/0/cases/0/assertions/0",
    ]
    imported(other, pack)
    with acting(other.tenant):
        assert not Prompt.objects.filter(key="open").exists()
    # Versions that exist already refuse the rest with them.
    fresh = pack | {"prompts": [{"key": "new", "name": "New", "versions": [{"messages": TEXT}]}]}
    assert fields_at_fault(other, fresh, 409) == ["/templates/0/version", "/templates/1/version"]
    with acting(other.tenant):
        assert not Prompt.objects.filter(key="new").exists()


@pytest.mark.parametrize(
    ("part", "place"),
    [
        ({"prompts": {}}, "/prompts"),
        ({"prompts": [1]}, "/prompts/0"),
        ({"prompts": [{"key": "UP", "name": "x", "versions": [{"messages": TEXT}]}]}, "/prompts/0/key"),
        ({"prompts": [{"key": "a", "name": "", "versions": [{"messages": TEXT}]}]}, "/prompts/0/name"),
        ({"prompts": [{"key": "a", "name": "x", "versions": []}]}, "/prompts/0/versions"),
        ({"prompts": [{"key": "a", "name": "x\0", "versions": [{"messages": TEXT}]}]}, ""),
        ({"prompts": [{"key": "a", "name": "x", "versions": [{"messages": TEXT, "model": 1}]}]}, None),
        ({"prompts": [{"key": "a", "name": "x", "versions": [{"messages": TEXT, "parameters": {"top": 1}}]}]}, None),
        ({"prompts": [{"key": "a", "name": "x", "versions": [{"messages": TEXT, "variables": [3]}]}]}, None),
        ({"eval_suites": [{"key": "a", "name": "x", "cases": {}}]}, "/eval_suites/0/cases"),
        ({"eval_suites": [{"key": "a", "name": "x", "cases": [{"name": "y", "assertions": [{}]}]}]}, None),
        ({"eval_suites": [{"key": "a", "name": "x", "cases": [{"name": "y", "assertions": [[[[[]]]]]}]}]}, None),
        ({"prompts": [], "templates": [None]}, "/templates/0"),
        ({"prompts": [], "surprise": 1}, ""),
        ({"prompts": [json.loads("[" * 200 + "]" * 200)]}, ""),
    ],
)
def test_nonsense_is_refused_by_its_place(account: Account, part: Any, place: str | None) -> None:
    fields = fields_at_fault(account, part)
    assert fields if place is None else fields == [place]
    with acting(account.tenant):
        assert not Prompt.objects.filter(organization_id=account.organization_id).exists()
        assert not EvalSuite.objects.filter(organization_id=account.organization_id).exists()


def test_a_draft_without_form_cannot_be_packed_and_nobody_elses_can(account: Account) -> None:
    with acting(account.tenant):
        shapeless = template_create(config={**document([{"action": "finish"}]), "stages": {}}, name="Empty")
    assert call(account, "GET", f"{URL}/{shapeless.pk}/pack").status_code == 400
    other = account_create(balance=0)
    assert call(other, "GET", f"{URL}/{letter(account).pk}/pack").status_code == 404


def test_what_could_not_be_imported_is_not_exported(account: Account) -> None:
    config = letter(account)
    with acting(account.tenant):
        prompt = prompt_by_key("letter")
        deep: dict[str, Any] = {}
        for _level in range(20):
            deep = {"deeper": deep}
        draft = VersionDraft(TEXT, language="en", parameters={"response_format": deep})
        version_publish(version_id=version_create(prompt_id=prompt.pk, draft=draft).pk)
    answer = call(account, "GET", f"{URL}/{config.pk}/pack")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_config")


def test_what_is_named_and_not_here_is_left_as_it_is_named(account: Account) -> None:
    missing = "019aa8f2-6c1e-7b3a-9d52-4b1f2f6a7c10"
    steps = [
        {"action": "generate", "via": "apply", "with": "nowhere", "eval_suite_id": "nothing"},
        {"action": "send", "via": "workflow/run", "with": missing},
    ]
    with acting(account.tenant):
        config = template_create(config=document(steps, name="Half"))
    pack = call(account, "GET", f"{URL}/{config.pk}/pack").json()
    assert set(pack) == {"$schema", "name", "version", "templates"}
    assert pack["templates"][0]["stages"]["A"]["steps"][1]["with"] == missing


def test_workflows_that_start_each_other_are_packed_once(account: Account) -> None:
    with acting(account.tenant):
        for name, other in (("Ping", "Pong"), ("Pong", "Ping")):
            steps = [{"action": "go", "via": "workflow/run", "with": other}, {"action": "finish"}]
            config = template_create(config=document(steps, name=name))
            config_publish(config_id=config.pk)
    pack = call(account, "GET", f"{URL}/{config.pk}/pack").json()
    assert [item["name"] for item in pack["templates"]] == ["Pong", "Ping"]


def test_a_person_exports_a_pack_and_imports_it_with_one_file() -> None:
    ada, bob = person(), person()
    with ada.at_work():
        prompt_create(key="letter", name="Letter", draft=VersionDraft(TEXT))
        steps = [{"action": "generate", "via": "apply", "with": "letter"}, {"action": "finish"}]
        config = template_create(config=document(steps, name="Letters"))
    page = ada.client().get(f"/workflows/{config.pk}/").content.decode()
    assert f"/workflows/{config.pk}/pack/" in page
    file = ada.client().get(f"/workflows/{config.pk}/pack/").content

    def sent(who: Person, content: bytes, status: int = 200) -> str:
        upload = SimpleUploadedFile("letters.pack.json", content)
        answer = who.client().post("/workflows/import/", {"file": upload}, follow=True)
        assert answer.status_code == status
        return str(answer.content.decode())

    page = sent(bob, file)
    assert "1 draft was imported. New here: Letter." in page
    assert "No version of this prompt is published" in page
    again = json.loads(file)
    again["templates"] = []
    assert "Nothing was imported." in sent(bob, json.dumps(again).encode(), 400)
    many = {"prompts": [{"key": f"p{n}", "name": f"P{n}", "versions": [{"messages": TEXT}]} for n in range(10)]}
    many["prompts"].append(again["prompts"][0])
    page = sent(bob, json.dumps(many).encode())
    assert "New here: P0, P1, P2, P3, P4, P5, P6, P7 and 2 more." in page
    assert "Here already, and kept as they are: Letter." in page
