"""The pages of prompts: forms without JavaScript, fragments with htmx, other people's prompts."""

import re
from html import unescape
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from prompts_app.models import PromptRun, PromptVersion
from tests.factories.accounts import Person, person, team
from tests.factories.prompts import prompt_of, shared_prompt, version_of
from tests.support.upstream import Behaviour, ScriptedUpstream

pytestmark = pytest.mark.django_db


def page(response: Any) -> str:
    """Return the page's text without tags, white space made single."""
    assert response.status_code != 500
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", response.content.decode())))


@pytest.fixture
def browser(writer: Person) -> Client:
    return writer.client()


def form_of(*messages: tuple[str, str], **more: str) -> dict[str, str]:
    data = {
        "messages-TOTAL_FORMS": str(len(messages)),
        "messages-INITIAL_FORMS": "0",
        "variables-TOTAL_FORMS": "1",
        "variables-INITIAL_FORMS": "0",
        "variables-0-name": "",
        "settings-language": "",
        "do": "save",
    }
    for index, (role, content) in enumerate(messages):
        data |= {f"messages-{index}-role": role, f"messages-{index}-content": content}
    return data | more


def test_list_shows_search_status_and_shared_prompts(browser: Client, writer: Person) -> None:
    prompt_of(writer, key="mine", name="My question", publish=False)
    text = page(browser.get(reverse("prompts:list")))
    assert "My question" in text
    assert "Article draft" in text
    assert "Draft" in text
    found = page(browser.get(reverse("prompts:list"), {"q": "question", "owner": "own"}))
    assert "My question" in found
    assert "Article draft" not in found
    assert "No prompt matches" in page(browser.get(reverse("prompts:list"), {"q": "zzz"}))


def test_list_in_chinese_names_shared_prompts_in_chinese(browser: Client) -> None:
    text = page(browser.get(reverse("prompts:list"), headers={"Accept-Language": "zh-hans"}))
    assert "文章初稿" in text
    assert "已发布" in text


def test_list_loads_each_prompts_task_by_address(browser: Client, writer: Person) -> None:
    prompt = prompt_of(writer)
    body = browser.get(reverse("prompts:list")).content.decode()
    assert f'hx-get="{reverse("tasks:for-prompt", args=[prompt.pk])}"' in body


def test_list_pages_by_cursor(browser: Client, writer: Person) -> None:
    for number in range(21):
        prompt_of(writer, key=f"p{number}", name=f"Numbered {number}.")
    first = browser.get(reverse("prompts:list"), {"owner": "own"})
    assert "Numbered 20." in page(first)
    assert "Numbered 0." not in page(first)
    cursor = re.search(r'rel="next" href="\?([^"]+)"', first.content.decode())
    assert cursor
    assert "Numbered 0." in page(browser.get(f"{reverse('prompts:list')}?{unescape(cursor[1])}"))
    assert browser.get(reverse("prompts:list"), {"cursor": "nonsense"}).status_code == 404


def test_list_takes_as_many_queries_for_many_prompts_as_for_few(
    browser: Client, writer: Person, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    prompt_of(writer)
    browser.get(reverse("prompts:list"))
    for _number in range(5):
        prompt_of(writer)
    with django_assert_num_queries(11):
        browser.get(reverse("prompts:list"))


def test_prompt_page_shows_lines_variables_and_findings_in_place(browser: Client, writer: Person) -> None:
    prompt = prompt_of(writer, messages=[{"role": "user", "content": "List <a>\n{{ name }} etc."}], variables=None)
    response = browser.get(reverse("prompts:detail", args=[prompt.pk]))
    body = response.content.decode()
    assert '<mark class="promptvar" title="Variable">{{ name }}</mark>' in body
    line = body[body.index('id="m0-l2"') :]
    assert "is vague" in page(response)
    assert line.index("302") < line.index("</li>")
    assert reverse("tasks:prompt-sidebar", args=[prompt.pk]) in body


def test_prompt_page_escapes_what_people_write(browser: Client, writer: Person) -> None:
    prompt = prompt_of(
        writer, name="<b>x</b>", messages=[{"role": "user", "content": "List <script>alert(1)</script>"}]
    )
    body = browser.get(reverse("prompts:detail", args=[prompt.pk])).content.decode()
    assert "<script>alert" not in body
    assert "<b>x</b>" not in body


def test_trying_a_version_shows_output_tokens_and_cost(
    browser: Client, writer: Person, upstream: ScriptedUpstream
) -> None:
    prompt = prompt_of(writer)
    with writer.at_work():
        version = prompt.versions.get()
    upstream.script("It is a <i>drink</i>.")
    address = reverse("prompts:try", args=[prompt.pk, version.pk])
    response = browser.post(address, {"value-question": "What is tea?"}, follow=True)
    with writer.at_work():
        run = PromptRun.objects.get(prompt=prompt)
    assert "It is a &lt;i&gt;drink&lt;/i&gt;." in response.content.decode()
    assert f" {run.total_tokens} " in page(response)
    assert response.redirect_chain[-1][0].endswith(f"&run={run.pk}#output")


def test_trying_with_htmx_answers_with_the_output_alone(
    browser: Client, writer: Person, upstream: ScriptedUpstream
) -> None:
    prompt = prompt_of(writer)
    with writer.at_work():
        version = prompt.versions.get()
    address, headers = reverse("prompts:try", args=[prompt.pk, version.pk]), {"HX-Request": "true"}
    form = {"value-question": "What is tea?", "operation": "6f0c8f6e-5a59-4f0e-8f5a-5d3d2c1b0a99"}
    first = browser.post(address, form, headers=headers)
    again = browser.post(address, form, headers=headers)
    assert "<html" not in first.content.decode()
    assert first["HX-Trigger"] == "wallet-changed"
    assert 'id="operation"' in first.content.decode()
    assert 'id="runs" aria-labelledby="runs-title" hx-swap-oob="true"' in first.content.decode()
    assert again.status_code == 200
    assert len(upstream.served) == 1
    browser.post(address, {**form, "value-question": "Milk?"}, headers=headers)
    assert len(upstream.served) == 2
    missing = browser.post(address, {"value-question": " "}, headers=headers)
    assert (missing.status_code, len(upstream.served)) == (200, 2)
    assert "required" in page(missing)


@pytest.mark.parametrize("headers", [{}, {"HX-Request": "true"}])
def test_trying_without_funds_says_so_and_keeps_what_was_typed(
    upstream: ScriptedUpstream, headers: dict[str, str]
) -> None:
    poor = person()
    prompt = prompt_of(poor)
    with poor.at_work():
        version = prompt.versions.get()
    address = reverse("prompts:try", args=[prompt.pk, version.pk])
    response = poor.client().post(address, {"value-question": "My long question"}, headers=headers)
    assert response.status_code == (200 if headers else 402)
    assert ("My long question" in page(response)) is not bool(headers)
    assert 'role="alert"' in response.content.decode()
    assert upstream.served == []


def test_trying_with_the_model_down_is_a_page_and_not_a_crash(
    browser: Client, writer: Person, upstream: ScriptedUpstream
) -> None:
    prompt = prompt_of(writer)
    with writer.at_work():
        version = prompt.versions.get()
    with upstream.down():
        response = browser.post(reverse("prompts:try", args=[prompt.pk, version.pk]), {"value-question": "Tea?"})
    assert response.status_code == 503
    assert "The model does not answer" in page(response)


def test_rewrite_leads_to_the_comparison_of_both_versions(
    browser: Client, writer: Person, upstream: ScriptedUpstream
) -> None:
    prompt = prompt_of(writer)
    with writer.at_work():
        version = prompt.versions.get()
    address = reverse("prompts:rewrite", args=[prompt.pk, version.pk])
    upstream.script(
        '<message role="system">\nAnswer with two sentences.\n</message>'
        '<message role="user">\n<question>{{ question }}</question>\n</message>'
    )
    text = page(browser.post(address, {"instruction": "Two."}, follow=True))
    assert "Version 2 is the rewrite, as a draft." in text
    assert "Answer with one sentence." in text
    assert "Answer with two sentences." in text
    upstream.behave(Behaviour(text="Sure!"))
    refused = page(browser.post(address, {}, follow=True))
    assert "Nothing was changed." in refused
    too_long = page(browser.post(address, {"instruction": "x" * 5000}, follow=True))
    assert "4000" in too_long


def test_new_prompt_is_checked_then_saved_with_its_variables(browser: Client, writer: Person) -> None:
    address = reverse("prompts:new")
    assert browser.get(address).status_code == 200
    form = form_of(("system", "Answer etc."), ("user", "<q>\r\n{{ question }}\r\n</q>"), name="Q", category="task")
    more = browser.post(address, {**form, "do": "messages"})
    assert 'name="messages-2-content"' in more.content.decode()
    added = more.content.decode().split('name="messages-2-role"')[1].split("</select>")[0]
    assert '<option value="user" selected>' in added
    checked = page(browser.post(address, {**form, "do": "check"}))
    assert "is vague" in checked
    saved = browser.post(address, form, follow=True)
    assert "first version" in page(saved)
    with writer.at_work():
        version = PromptVersion.objects.get(prompt__organization_id=writer.organization_id)
    assert version.messages[1]["content"] == "<q>\n{{ question }}\n</q>"
    assert [item["name"] for item in version.variables] == ["question"]


@pytest.mark.parametrize(
    ("form", "message"),
    [
        (form_of(("user", "Hi"), name="", category="task"), "This field is required"),
        (form_of(("user", " "), name="Q", category="task"), "at least one message"),
        (form_of(("user", "Hi"), name="Q", category="task", key="Not a key"), "lower-case"),
        ({"name": "Q", "category": "task"}, "ManagementForm"),
        (form_of(("robot", "Hi"), name="Q", category="task"), "Select a valid choice"),
        (
            {**form_of(("user", "Hi"), name="Q", category="task"), "settings-temperature": "9"},
            "less than or equal to 2",
        ),
    ],
)
def test_bad_forms_come_back_with_the_reason(browser: Client, form: dict[str, str], message: str) -> None:
    response = browser.post(reverse("prompts:new"), form)
    assert response.status_code == 400
    assert message in page(response)


@pytest.mark.parametrize("count", ["x", "-1", "99999999"])
def test_a_tampered_row_count_is_no_crash(browser: Client, count: str) -> None:
    form = {**form_of(("user", "Hi"), name="Q", category="task"), "messages-TOTAL_FORMS": count}
    assert browser.post(reverse("prompts:new"), form).status_code in (200, 400)
    assert browser.post(reverse("prompts:new"), {**form, "do": "messages"}).status_code == 200


def test_new_version_begins_as_the_old_one_and_keeps_its_parent(browser: Client, writer: Person) -> None:
    prompt = prompt_of(writer, parameters={"temperature": 0.5, "response_format": {"type": "json_object"}})
    with writer.at_work():
        first = prompt.versions.get()
    address = f"{reverse('prompts:version-new', args=[prompt.pk])}?from={first.pk}"
    assert "Answer with one sentence." in page(browser.get(address))
    saved = browser.post(address, form_of(("user", "List {{ what }}")), follow=True)
    assert "Version 2 is saved as a draft." in page(saved)
    with writer.at_work():
        second = prompt.versions.get(number=2)
    assert (second.parent_id, second.parameters) == (first.pk, {"response_format": {"type": "json_object"}})
    assert browser.post(address, form_of(("user", ""))).status_code == 400
    assert "vague" in page(browser.post(address, form_of(("user", "List etc."), do="check")))
    assert 'name="variables-1-name"' in browser.post(address, form_of(("user", "x"), do="variables")).content.decode()


def test_publishing_asks_first_and_refuses_what_is_broken(browser: Client, writer: Person) -> None:
    prompt = prompt_of(writer, publish=False)
    with writer.at_work():
        version = prompt.versions.get()
    address = reverse("prompts:publish", args=[prompt.pk, version.pk])
    assert "Publish version 1?" in page(browser.get(address))
    assert "Version 1 is published." in page(browser.post(address, follow=True))
    broken = version_of(writer, prompt, messages=[{"role": "user", "content": "List {{ }}"}], variables=[])
    text = page(browser.post(reverse("prompts:publish", args=[prompt.pk, broken.pk]), follow=True))
    assert "messages[0].content:1:6" in text


def test_shared_prompt_is_copied_and_not_edited(browser: Client, writer: Person) -> None:
    with writer.at_work():
        shared = shared_prompt("general_answer")
    assert "Copy to my organization" in page(browser.get(reverse("prompts:detail", args=[shared.pk])))
    assert browser.get(reverse("prompts:version-new", args=[shared.pk])).status_code == 409
    copied = browser.post(reverse("prompts:copy", args=[shared.pk]), follow=True)
    assert "your organization's copy" in page(copied)


def test_settings_rename_archive_and_bring_back(browser: Client, writer: Person) -> None:
    prompt = prompt_of(writer)
    address = reverse("prompts:settings", args=[prompt.pk])
    assert browser.get(address).status_code == 200
    assert browser.post(address, {"name": ""}).status_code == 400
    form = {"name": "Renamed", "description": "", "category": "mode"}
    assert "Renamed" in page(browser.post(address, form, follow=True))
    browser.post(address, {"archived": "yes"})
    assert "Renamed" not in page(browser.get(reverse("prompts:list")))
    assert "Archived" in page(browser.get(reverse("prompts:detail", args=[prompt.pk])))
    assert "The prompt is back." in page(browser.post(address, {"archived": "no"}, follow=True))


def test_comparison_marks_what_changed(browser: Client, writer: Person) -> None:
    prompt = prompt_of(writer)
    version_of(writer, prompt, messages=[{"role": "system", "content": "Answer with two sentences."}], variables=[])
    body = browser.get(reverse("prompts:compare", args=[prompt.pk])).content.decode()
    assert "promptdiff__changed" in body
    assert "promptdiff__removed" in body
    assert "promptdiff__same" in body


def test_other_peoples_prompts_are_not_there(browser: Client) -> None:
    owner = person()
    theirs = prompt_of(owner)
    with owner.at_work():
        version = theirs.versions.get()
    for name in ("detail", "settings", "compare", "version-new"):
        assert browser.get(reverse(f"prompts:{name}", args=[theirs.pk])).status_code == 404
    for name in ("try", "rewrite", "publish"):
        assert browser.post(reverse(f"prompts:{name}", args=[theirs.pk, version.pk])).status_code == 404
    assert browser.post(reverse("prompts:copy", args=[theirs.pk])).status_code == 404
    own = reverse("prompts:detail", args=[theirs.pk])
    assert browser.get(f"{own}?version={version.pk}").status_code == 404


def test_viewers_look_and_have_nothing_to_press() -> None:
    owner, viewer = team("viewer")
    prompt = prompt_of(owner)
    with owner.at_work():
        version = prompt.versions.get()
    client = viewer.client()
    text = page(client.get(reverse("prompts:detail", args=[prompt.pk])))
    assert "Your role only reads" in text
    assert "New version from this one" not in text
    assert client.get(reverse("prompts:new")).status_code == 403
    assert client.post(reverse("prompts:try", args=[prompt.pk, version.pk])).status_code == 403


def test_pages_send_strict_pages_without_inline_code(browser: Client, writer: Person) -> None:
    prompt = prompt_of(writer)
    for address in (reverse("prompts:list"), reverse("prompts:detail", args=[prompt.pk]), reverse("prompts:new")):
        body = browser.get(address).content.decode()
        assert not re.search(r"\son\w+=|\sstyle=", body.split("<main", 1)[1])


@pytest.mark.parametrize(("language", "words"), [("en", "English"), ("zh-hans", "简体中文")])
def test_a_shared_prompt_opens_in_the_readers_language(browser: Client, language: str, words: str) -> None:
    prompt = shared_prompt("draft_template")
    shown = browser.get(reverse("prompts:detail", args=[prompt.pk]), headers={"Accept-Language": language})
    assert str(shown.context["version"].language) == language
    assert words in page(shown)
