"""The pages of workflow templates as they are rendered, and what their buttons do."""

import copy
import json
import re
from typing import Any
from uuid import UUID

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from accounts_app.models import Role
from accounts_app.tenancy.context import Tenant
from tests.factories.accounts import Person, person, team
from tests.factories.workflows import acting, document
from tests.unit.workflows_app.test_format import WHOLE
from workflows_app.models import WorkflowConfig
from workflows_app.reads.templates import template_uses
from workflows_app.services.configs import config_publish
from workflows_app.services.places import line_of, pointer_lines
from workflows_app.services.runs import run_start
from workflows_app.services.templates import template_create
from workflows_app.web.templates_outline import seconds_said

pytestmark = pytest.mark.usefixtures("committed_db")


@pytest.fixture
def ada() -> Person:
    return person()


def tenant_of(somebody: Person) -> Tenant:
    return Tenant(organization_id=somebody.organization_id, user_id=somebody.id, role=somebody.role)


def html(response: Any, status: int = 200) -> str:
    assert response.status_code == status, response.content[:500]
    text: str = response.content.decode()
    assert not re.search(r"<[^>]+\sstyle=|<[^>]+\son[a-z]+=|<style|<script>", text)
    return text


def drafted(somebody: Person, whole: Any = None, **fields: Any) -> UUID:
    with acting(tenant_of(somebody)):
        config = template_create(config=whole or document([{"action": "finish"}], name="Mine", **fields))
        return config.pk


def published(somebody: Person, whole: Any = None, **fields: Any) -> UUID:
    template = drafted(somebody, whole, **fields)
    with acting(tenant_of(somebody)):
        config_publish(config_id=template, make_default=False)
    return template


def shown(somebody: Person, path: str = "", status: int = 200) -> str:
    return html(somebody.client().get(f"/workflows/{path}"), status)


def press(somebody: Person, template: UUID, deed: str, **fields: str) -> Any:
    return somebody.client().post(f"/workflows/{template}/{deed}/", fields, follow=True)


def stored(somebody: Person, template: UUID) -> WorkflowConfig:
    with acting(tenant_of(somebody)):
        return WorkflowConfig.objects.get(pk=template)


def test_the_list_names_templates_with_status_and_use(ada: Person) -> None:
    used, draft = published(ada), drafted(ada, version="2.0.0", description="For <Mondays>")
    with acting(tenant_of(ada)):
        run_start(config_id=used, workspace_key="general", stage="A", key="once")
        assert template_uses([used, draft]) == {used: 1, draft: 0}
    page = shown(ada)
    assert all(name in page for name in ("Mine", "Article", "Shared", "Default", "Published", "Draft"))
    assert "For &lt;Mondays&gt;" in page
    assert '<a href="/runs/?template=Mine">1</a>' in page
    assert "Article" not in shown(ada, "?owner=own")
    assert "No workflow matches" in shown(ada, "?q=nothing-like-it")
    assert shown(ada, "?cursor=nonsense", status=404)


def test_a_template_is_drawn_as_stages_steps_and_ways(ada: Person) -> None:
    page = shown(ada, f"{drafted(ada, copy.deepcopy(WHOLE))}/")
    assert page.index('id="stage-A"') < page.index('id="stage-B"') < page.index('id="stage-C"')
    assert "context.topics" in page
    assert "visits.B &lt; 3 &amp;&amp; context.?again.orValue(false)" in page
    for said in ("up to 4 tries", "at most 2 min", "goes to C when it fails", "for the signal “chosen”", "Send it?"):
        assert said in page
    for limit in ("costs at most $0.5", "at most 40 steps", "takes at most 2 d", "at most 5 runs at a time"):
        assert limit in page
    assert "Nothing to find fault with." in page


def test_a_shapeless_draft_shows_what_has_to_be_mended(ada: Person) -> None:
    page = shown(ada, f"{drafted(ada, document([{}], name='Broken'))}/")
    assert "/stages/A/steps/0/action" in page
    assert "does not have the form" in page


def test_a_shared_template_can_be_duplicated_and_not_changed(ada: Person) -> None:
    with acting(tenant_of(ada)):
        shared = WorkflowConfig.objects.get(organization__isnull=True, workspace_id="article")
    page = shown(ada, f"{shared.pk}/")
    assert "Duplicate it to make it your own" in page
    assert f"/workflows/{shared.pk}/edit/" not in page
    assert "This copy is a draft." in html(press(ada, shared.pk, "duplicate"))
    assert shown(ada, f"{shared.pk}/edit/", status=409)


def test_the_editor_saves_a_draft_and_keeps_what_was_refused(ada: Person) -> None:
    client = ada.client()
    start = html(client.get("/workflows/new/"))
    assert "draft_template" in start
    text = json.dumps(document([{"action": "finish"}], name="Written"), indent=2).replace("\n", "\r\n")
    saved = client.post("/workflows/new/", {"document": text}, follow=True)
    assert "The draft is saved." in html(saved)
    again = client.post("/workflows/new/", {"document": text})
    assert "exists already" in html(again, 409)
    assert "&quot;Written&quot;" in again.content.decode()
    assert "not JSON: line 1, column 2" in html(client.post("/workflows/new/", {"document": "{"}), 400)


def test_a_draft_is_edited_and_a_published_one_is_not(ada: Person) -> None:
    draft = drafted(ada)
    assert "&quot;Mine&quot;" in shown(ada, f"{draft}/edit/")
    text = json.dumps(document([{"action": "finish"}], name="Renamed"))
    html(ada.client().post(f"/workflows/{draft}/edit/", {"document": text}, follow=True))
    assert stored(ada, draft).name == "Renamed"
    press(ada, draft, "publish")
    assert ada.client().post(f"/workflows/{draft}/edit/", {"document": text}).status_code == 409


def test_the_editor_tells_problems_by_line(ada: Person) -> None:
    wrong = document([{"action": "finish", "when": "1 +"}], name="Wrong", defaults={"start": "Z"})
    client = ada.client()
    page = html(client.post("/workflows/check/", {"document": json.dumps(wrong, indent=2)}))
    lines = json.dumps(wrong, indent=2).split("\n")
    number = next(index for index, line in enumerate(lines, 1) if '"when"' in line)
    assert f'data-line="{number}"' in page
    assert "/defaults/start" in page
    assert "stands twice" in html(client.post("/workflows/check/", {"document": '{"a": 1, "a": 2}'}))
    assert html(client.post("/workflows/check/", {"document": "[" * 200_000}))
    assert html(client.post("/workflows/check/", {}))


def test_lines_of_pointers() -> None:
    text = '{\n "a/b": [1,\n  {"x": "}[,:\\"",\n   "y": []}],\n "": {\n  "z": null}}'
    lines = pointer_lines(text)
    assert lines == {"": 1, "/a~1b": 2, "/a~1b/0": 2, "/a~1b/1": 3, "/a~1b/1/x": 3, "/a~1b/1/y": 4, "/": 5, "//z": 6}
    assert line_of("/a~1b/1/missing/more", lines) == 3
    assert pointer_lines("7") == {"": 1}


def test_publishing_asks_first_and_shows_what_to_consider(ada: Person) -> None:
    broken = drafted(ada, document([{"action": "nothing"}], name="Broken"))
    assert "have to be mended first" in shown(ada, f"{broken}/publish/")
    assert "The workflow has errors." in html(press(ada, broken, "publish"))
    fine = drafted(ada)
    assert "never changes again" in shown(ada, f"{fine}/publish/")
    assert "never changes again" in html(press(ada, fine, "publish", make_default="on"))
    assert stored(ada, fine).is_default


def test_buttons_do_what_they_say_and_refuse_what_cannot_be(ada: Person) -> None:
    first, second = published(ada), published(ada, version="2.0.0")
    assert "is not started any more" in html(press(ada, first, "deactivate"))
    assert stored(ada, first).status == "inactive"
    assert "may be started again" in html(press(ada, first, "activate"))
    assert "follow this version" in html(press(ada, first, "default"))
    assert "make another version the default first" in html(press(ada, first, "deactivate"))
    assert "The version is deleted." in html(press(ada, second, "delete"))
    assert ada.client().get(f"/workflows/{first}/delete/").status_code == 405


def test_two_versions_are_compared(ada: Person) -> None:
    older = drafted(ada)
    newer = drafted(ada, document([{"action": "finish"}, {"action": "linter"}], name="Mine", version="1.1.0"))
    page = shown(ada, f"{newer}/compare/?to={older}")
    assert "/stages/A/steps/1" in page
    assert "Added" in page
    assert "/stages/A/steps/1" in shown(ada, f"{newer}/compare/")
    assert "Both versions say the same." in shown(ada, f"{newer}/compare/?to={newer}")
    assert shown(ada, f"{newer}/compare/?to=x", status=404)


def test_of_two_who_edit_a_draft_the_second_is_told(ada: Person) -> None:
    template = drafted(ada)
    address = f"/workflows/{template}/edit/"

    def tag_in(page: str) -> str:
        return str(re.findall(r'name="tag" value="([^"]+)"', page)[0])

    def saved(tag: str, text: str) -> Any:
        return ada.client().post(address, {"document": text, "tag": tag}, follow=True)

    read = tag_in(shown(ada, f"{template}/edit/"))
    theirs, mine = (json.dumps(document([{"action": "finish"}], name=name)) for name in ("Theirs", "Mine too"))
    assert "The draft is saved." in html(saved(read, theirs))
    # A text that cannot be read does not hide that somebody else saved.
    assert tag_in(html(saved(read, "{"), 400)) == read
    told = html(saved(read, mine), 412)
    assert "Somebody else changed this draft" in told
    assert "Mine too" in told
    assert "Theirs" in shown(ada, f"{template}/")
    assert "The draft is saved." in html(saved(tag_in(told), mine))
    assert "Mine too" in shown(ada, f"{template}/")


def test_a_file_is_exported_and_imported(ada: Person) -> None:
    exported = ada.client().get(f"/workflows/{drafted(ada)}/export/").content
    bob = person()

    def sent(content: bytes, **fields: str) -> Any:
        upload = SimpleUploadedFile("workflow.json", content)
        return bob.client().post("/workflows/import/", {"file": upload, **fields}, follow=True)

    assert "1 draft was imported." in html(sent(exported))
    assert "Nothing was imported." in html(sent(exported), 409)
    assert "1 draft was imported." in html(sent(exported, take_next_version="on"))
    two = json.dumps({"templates": [json.loads(exported) | {"name": name} for name in "XY"]}).encode()
    assert "2 drafts were imported." in html(sent(two))
    assert "not JSON" in html(sent(b"{"), 400)
    assert html(bob.client().post("/workflows/import/", {}), 400)


@pytest.mark.parametrize("role", [Role.MEMBER, Role.VIEWER])
def test_others_than_managers_only_look(role: str) -> None:
    ada, other = team(role)
    template = published(ada)
    assert "New workflow" not in shown(other)
    page = shown(other, f"{template}/")
    assert "/deactivate/" not in page
    assert f"/workflows/{template}/export/" in page
    for path in ("new/", "import/", f"{template}/edit/", f"{template}/publish/"):
        shown(other, path, status=403)
    assert press(other, template, "deactivate").status_code == 403
    assert other.client().post("/workflows/check/", {"document": "{}"}).status_code == 403


def test_another_organizations_template_is_not_there(ada: Person) -> None:
    theirs = published(person())
    for path in (f"{theirs}/", f"{theirs}/edit/", f"{theirs}/compare/", f"{theirs}/export/", f"{theirs}/publish/"):
        shown(ada, path, status=404)
    for deed in ("activate", "deactivate", "default", "duplicate", "delete", "publish"):
        assert press(ada, theirs, deed).status_code == 404
    assert shown(ada, f"{drafted(ada)}/compare/?to={theirs}", status=404)


def test_spans_are_said_in_whole_units() -> None:
    assert [seconds_said(number) for number in (0.5, 45, 60, 90, 3600, 86400)] == [
        "0.5 s",
        "45 s",
        "1 min",
        "90 s",
        "1 h",
        "1 d",
    ]
