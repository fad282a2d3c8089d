"""The pages of workflow templates in every look, and the editor as a manager uses it."""

import copy
import json
from pathlib import Path
from uuid import UUID

import pytest
from playwright.sync_api import Page, expect

from prompts_app.services.prompts import VersionDraft, prompt_create
from tests.factories.workflows import acting, document
from tests.fixtures.stack import AccountMaker
from tests.support.accounts import Account
from tests.support.browser import LOOKS, Look, Visitor
from tests.unit.workflows_app.test_format import WHOLE
from workflows_app.services.templates import template_create, template_update

pytestmark = pytest.mark.browser
EVERY_LOOK = pytest.mark.parametrize("look", LOOKS, indirect=True, ids=str)


def drafted(account: Account, whole: object) -> UUID:
    with acting(account.tenant):
        return template_create(config=whole).pk


@pytest.fixture
def templates(tenant_with_money: Account) -> list[UUID]:
    rich = copy.deepcopy(WHOLE)
    changed = copy.deepcopy(WHOLE) | {"version": "1.1.0", "notes": "Fewer tries, and a longer pause."}
    changed["stages"]["A"]["steps"][0]["retry"]["max_attempts"] = 2
    changed["stages"]["B"]["steps"][1]["params"] = {"seconds": 3600}
    changed["stages"]["C"]["steps"].insert(0, {"action": "review", "via": "linter"})
    wrong = document([{"action": "nothing", "when": "context.n +"}, {"action": "approve"}], name="Not finished")
    return [drafted(tenant_with_money, each) for each in (rich, changed, wrong)]


@EVERY_LOOK
def test_pages_of_templates_keep_their_promises(
    somebody: Visitor, page: Page, tenant_with_money: Account, templates: list[UUID], look: Look
) -> None:
    somebody.be(tenant_with_money)
    rich, changed, wrong = templates
    broken = []
    paths = {
        "workflows": "/workflows/",
        "workflows-none": "/workflows/?q=nothing-like-it",
        "workflow": f"/workflows/{rich}/",
        "workflow-wrong": f"/workflows/{wrong}/",
        "workflow-new": "/workflows/new/",
        "workflow-edit": f"/workflows/{wrong}/edit/",
        "workflow-publish": f"/workflows/{rich}/publish/",
        "workflow-publish-wrong": f"/workflows/{wrong}/publish/",
        "workflow-compare": f"/workflows/{changed}/compare/?to={rich}",
        "workflow-import": "/workflows/import/",
    }
    for name, path in paths.items():
        answer = page.goto(somebody.base_url + path)
        assert answer
        assert answer.status == 200, path
        broken += somebody.broken(page, name)
    assert not broken, "\n".join(broken)


def test_the_editor_checks_while_one_writes_and_leads_to_the_line(
    somebody: Visitor, page: Page, tenant_with_money: Account
) -> None:
    somebody.be(tenant_with_money)
    page.goto(f"{somebody.base_url}/workflows/new/")
    whole = document([{"action": "finish", "timeout": 0}], name="Typed")
    text = page.get_by_label("Document")
    text.fill(json.dumps(whole, indent=2))
    expect(page.locator("#problems")).to_contain_text("/stages/A/steps/0/timeout")
    page.locator("#problems button").first.click()
    assert '"timeout": 0' in str(text.evaluate("e => e.value.slice(e.selectionStart, e.selectionEnd)"))
    text.fill(json.dumps(document([{"action": "finish"}], name="Typed"), indent=2))
    expect(page.locator("#problems")).to_contain_text("Nothing to find fault with.")
    page.get_by_role("button", name="Save as a draft").click()
    page.get_by_role("link", name="Publish").click()
    page.get_by_role("button", name="Publish").click()
    expect(page.get_by_text("never changes again")).to_be_visible()
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Make default").click()
    expect(page.get_by_text("follow this version from now on")).to_be_visible()


def test_a_pack_goes_from_one_organization_to_another_by_hand(
    somebody: Visitor, page: Page, tenant_with_money: Account, make_account: AccountMaker, tmp_path: Path
) -> None:
    with acting(tenant_with_money.tenant):
        prompt_create(
            key="weekly_letter", name="Weekly letter", draft=VersionDraft([{"role": "user", "content": "Hi"}])
        )
    steps = [{"action": "generate", "via": "apply", "with": "weekly_letter"}, {"action": "finish"}]
    workflow = drafted(tenant_with_money, document(steps, name="Newsletter"))
    somebody.be(tenant_with_money)
    page.goto(f"{somebody.base_url}/workflows/{workflow}/")
    page.locator(".page-head__actions summary").click()
    somebody.picture(page, "workflow-menu")
    with page.expect_download() as download:
        page.get_by_role("link", name="Export with its prompts").click()
    file = tmp_path / download.value.suggested_filename
    download.value.save_as(file)
    assert file.name == "newsletter-1.0.0.pack.json"
    somebody.be(make_account())
    page.goto(f"{somebody.base_url}/workflows/import/")
    page.locator("input[type=file]").set_input_files(file)
    page.get_by_role("button", name="Import").click()
    expect(page.get_by_text("1 draft was imported. New here: Weekly letter.")).to_be_visible()
    somebody.check(page, "workflow-imported")


@EVERY_LOOK
def test_who_saves_second_sees_that_somebody_was_quicker(
    somebody: Visitor, page: Page, tenant_with_money: Account, look: Look
) -> None:
    workflow = drafted(tenant_with_money, document([{"action": "finish"}], name="Shared work"))
    somebody.be(tenant_with_money)
    page.goto(f"{somebody.base_url}/workflows/{workflow}/edit/")
    with acting(tenant_with_money.tenant):
        template_update(config_id=workflow, notes="Theirs")
    with somebody.expecting("412"):
        page.locator(".flow-editor button.btn-primary").click()
        expect(page.locator(".notice--error")).to_be_visible()
    somebody.check(page, "workflow-changed")
