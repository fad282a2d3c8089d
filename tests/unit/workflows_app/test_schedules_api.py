"""Schedules over REST, on their pages and in the admin."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts_app.models import Membership
from accounts_app.tenancy.context import Tenant, operator_atomic
from tests.factories.accounts import Person, person
from tests.factories.schedules import scheduled, template_of
from workflows_app.models import WorkflowRun, WorkflowSchedule

pytestmark = pytest.mark.django_db
URL = "/api/v1/schedules"


@pytest.fixture
def somebody() -> Person:
    return person()


@pytest.fixture
def api(somebody: Person) -> Client:
    return somebody.api()


def tenant_of(owner: Person) -> Tenant:
    return Tenant(organization_id=owner.organization_id, user_id=owner.id, role=owner.role)


def body(owner: Person, **fields: Any) -> dict[str, Any]:
    given = {"name": "Weekly letter", "template": template_of(tenant_of(owner)), "cron": "0 9 * * mon"}
    return given | {"timezone": "Europe/Berlin"} | fields


def post(api: Client, url: str, data: Any = None, **headers: str) -> Any:
    return api.post(url, data=data or {}, content_type="application/json", headers=headers)


def test_a_schedule_is_made_with_its_next_times(somebody: Person, api: Client) -> None:
    answer = post(api, URL, body(somebody, input={"brief": "tea"}))
    assert answer.status_code == 201, answer.content
    made = answer.json()
    assert (made["is_active"], made["misfire"], made["max_overlap"], made["last_error"]) == (True, "once", 1, None)
    assert len(made["next_runs"]) == 5
    assert all("T09:00:00+0" in moment for moment in made["next_runs"])
    assert api.get(f"{URL}/{made['id']}").json() == made
    (listed,) = api.get(URL).json()["results"]
    assert listed["id"] == made["id"]
    assert api.get(f"{URL}?is_active=false").json()["results"] == []


@pytest.mark.parametrize(
    ("fields", "field", "said"),
    [
        ({"cron": "0 25 * * *"}, "cron", "“25” is no hour: give numbers from 0 to 23"),
        ({"cron": "now and then"}, "cron", "Write five fields"),
        ({"timezone": "Europe/Atlantis"}, "timezone", "no such time zone"),
        ({"template": "No such workflow"}, "template", "no published workflow"),
        ({"input": [1]}, "input", "Give a JSON object."),
        ({"max_overlap": 0}, "max_overlap", "1"),
        ({"misfire": "panic"}, "misfire", "panic"),
        ({"name": ""}, "name", "blank"),
    ],
)
def test_what_is_wrong_is_named(somebody: Person, api: Client, fields: dict[str, Any], field: str, said: str) -> None:
    answer = post(api, URL, body(somebody, **fields))
    assert answer.status_code == 400
    (detail,) = answer.json()["error"]["details"]
    assert detail["field"] == field
    assert said in detail["message"]
    assert api.get(URL).json()["results"] == []


def test_some_fields_are_changed_and_the_others_stay(somebody: Person, api: Client) -> None:
    made = post(api, URL, body(somebody, max_overlap=3, input={"brief": "tea"})).json()
    change = {"cron": "30 7 * * *"}
    changed = api.patch(f"{URL}/{made['id']}", data=change, content_type="application/json").json()
    same = {name for name in made if changed[name] == made[name]}
    assert set(made) - same <= {"cron", "next_run_at", "next_runs", "updated_at"}
    assert changed["cron"] == "30 7 * * *"


def test_pause_resume_and_remove(somebody: Person, api: Client) -> None:
    one = f"{URL}/{post(api, URL, body(somebody)).json()['id']}"
    paused = post(api, f"{one}/pause").json()
    assert (paused["is_active"], paused["next_run_at"], paused["next_runs"]) == (False, None, [])
    assert post(api, f"{one}/pause").status_code == 200
    assert post(api, f"{one}/resume").json()["next_runs"]
    assert api.delete(one).status_code == 204
    assert api.get(one).status_code == 404


def test_it_is_started_by_hand_once_for_each_key(somebody: Person, api: Client) -> None:
    one = f"{URL}/{post(api, URL, body(somebody, input={'brief': 'tea'})).json()['id']}"
    answer = post(api, f"{one}/run", **{"Idempotency-Key": "once"})
    assert answer.status_code == 201
    assert post(api, f"{one}/run", **{"Idempotency-Key": "once"}).json()["id"] == answer.json()["id"]
    with somebody.at_work():
        assert WorkflowRun.objects.get(organization_id=somebody.organization_id).context["brief"] == "tea"


def test_the_next_times_of_an_expression_are_shown_without_making_anything(api: Client) -> None:
    answer = post(api, f"{URL}/preview", {"cron": "*/30 * * * *", "timezone": "Asia/Shanghai", "count": 7})
    assert answer.status_code == 200
    assert len(answer.json()["next_runs"]) == 7
    assert answer.json()["next_runs"][0].endswith("+08:00")
    assert post(api, f"{URL}/preview", {"cron": "x"}).status_code == 400


def test_viewers_look_and_change_nothing(somebody: Person, api: Client) -> None:
    one = f"{URL}/{post(api, URL, body(somebody)).json()['id']}"
    with operator_atomic("test"):
        Membership.objects.filter(user=somebody.user).update(role="viewer")
    assert api.get(one).status_code == 200
    assert post(api, f"{one}/pause").status_code == 403


# ---- Pages


def form(owner: Person, **fields: Any) -> dict[str, Any]:
    config = template_of(tenant_of(owner))
    given = {"name": "Weekly letter", "template": config.partition("@")[0], "cron": "0 9 * * mon", "timezone": "UTC"}
    return given | {"input": '{"brief": "tea"}', "misfire": "skip", "max_overlap": "2"} | fields


def test_a_person_makes_changes_and_removes_one(somebody: Person) -> None:
    browser = somebody.client()
    assert "No schedules yet" in browser.get("/schedules/").content.decode()
    answer = browser.post("/schedules/new/", form(somebody), follow=True)
    assert "Weekly letter" in answer.content.decode()
    with somebody.at_work():
        schedule = WorkflowSchedule.objects.get(organization_id=somebody.organization_id)
    assert (schedule.input, schedule.misfire, schedule.max_overlap) == ({"brief": "tea"}, "skip", 2)
    edit = reverse("schedules:edit", args=[schedule.pk])
    assert "0 9 * * mon" in browser.get(edit).content.decode()
    browser.post(edit, form(somebody, cron="15 6 * * *"))
    for action in ("pause", "resume"):
        assert browser.post(f"{edit}{action}/", follow=True).status_code == 200
    started = browser.post(f"{edit}run/")
    assert started["Location"].startswith("/runs/")
    assert "Remove this schedule?" in browser.get(f"{edit}remove/").content.decode()
    browser.post(f"{edit}remove/")
    assert browser.get(edit).status_code == 404


def test_a_wrong_expression_is_said_at_its_field(somebody: Person) -> None:
    browser = somebody.client()
    answer = browser.post("/schedules/new/", form(somebody, cron="61 * * * *"))
    assert answer.status_code == 400
    assert "“61” is no minute" in answer.context["form"].errors["cron"][0]
    preview = browser.get("/schedules/preview/?cron=0+9+*+*+*&timezone=Europe/Berlin").content.decode()
    assert preview.count("<li>") == 5


def test_viewers_do_not_get_to_the_forms(somebody: Person) -> None:
    schedule = scheduled(tenant_of(somebody))
    with operator_atomic("test"):
        Membership.objects.filter(user=somebody.user).update(role="viewer")
    browser = somebody.client()
    assert schedule.name in browser.get("/schedules/").content.decode()
    assert browser.get("/schedules/new/").status_code == 403
    assert browser.post(f"/schedules/{schedule.pk}/pause/").status_code == 403


def test_someone_elses_schedule_is_not_there(somebody: Person) -> None:
    schedule, stranger = scheduled(tenant_of(somebody)), person().client()
    for path in ("", "pause/", "run/", "remove/"):
        assert stranger.post(f"/schedules/{schedule.pk}/{path}", form(somebody)).status_code == 404


def test_an_operator_pauses_a_schedule_that_does_harm(somebody: Person) -> None:
    schedule = scheduled(tenant_of(somebody))
    browser = person(is_operator=True).client()
    address = reverse("admin:workflows_app_workflowschedule_changelist")
    assert schedule.name in browser.get(address).content.decode()
    browser.post(address, {"action": "pause", "_selected_action": [str(schedule.pk)]})
    with somebody.at_work():
        assert not WorkflowSchedule.objects.get(pk=schedule.pk).is_active
