"""Which prompt and which version is meant."""

import pytest
from django.utils import translation

from accounts_app.exceptions import InvalidInput, NotFound
from prompts_app.exceptions import PromptNotPublished
from prompts_app.models import Language, PromptVersion
from prompts_app.selectors import prompt_by_key, prompt_get, version_current
from prompts_app.services.languages import language_of
from prompts_app.services.prompts import prompt_copy, prompt_update
from prompts_app.services.runs import version_resolve
from tests.factories.accounts import Person, person
from tests.factories.prompts import prompt_of, shared_prompt, version_of


@pytest.fixture
def owner(db: None) -> Person:
    return person()


def test_family_key_means_the_highest_number_and_not_the_last_word(owner: Person) -> None:
    for key in ("mode.chat.v9", "mode.chat.v10", "mode.chat.v2", "mode.chat.vx", "mode.chat.fast.v99"):
        prompt_of(owner, key=key)
    with owner.at_work():
        assert prompt_by_key("mode.chat.v*").key == "mode.chat.v10"
        with pytest.raises(NotFound):
            prompt_by_key("mode.plan.v*")


def test_archived_prompts_answer_to_no_key(owner: Person) -> None:
    prompt = prompt_of(owner, key="gone")
    with owner.at_work():
        prompt_update(prompt_id=prompt.pk, changes={"archived": True})
        with pytest.raises(NotFound):
            prompt_by_key("gone")
        assert prompt_get(prompt.pk).archived_at


def test_current_version_prefers_the_language_then_any_then_english(owner: Person) -> None:
    prompt = prompt_of(owner, publish=False)

    def current(language: str) -> int:
        with owner.at_work():
            return version_current(prompt, language).number

    with pytest.raises(PromptNotPublished):
        current("en")
    version_of(owner, prompt, publish=True, language="zh-hans")
    assert current("en") == 2
    version_of(owner, prompt, publish=True, language="en")
    assert (current("en"), current("zh-hans"), current("")) == (3, 2, 3)
    version_of(owner, prompt, publish=True)
    version_of(owner, prompt, publish=False, language="en")
    assert (current("en"), current("zh-hans"), current("")) == (3, 2, 4)


@pytest.mark.parametrize(
    ("text", "active", "language"),
    [
        ("茶的历史", "en", Language.CHINESE),
        ("Please write about 茶", "zh-hans", Language.ENGLISH),
        ("用 Python 写爬虫", "en", Language.CHINESE),
        ("über Tee", "zh-hans", Language.ENGLISH),
        ("123 …", "zh-hans", Language.CHINESE),
        ("", "en", Language.ENGLISH),
    ],
)
def test_language_of_a_text(text: str, active: str, language: str) -> None:
    with translation.override(active):
        assert language_of([text]) == language


def test_a_copy_takes_the_newest_published_version_of_each_language(owner: Person) -> None:
    with owner.at_work():
        copy = prompt_copy(prompt_id=shared_prompt("brief_generator").pk)
        versions = PromptVersion.objects.filter(prompt=copy).order_by("number")
        assert [(version.language, version.is_published) for version in versions] == [("en", True), ("zh-hans", True)]
        assert all(version.provenance["source"] == "copy" for version in versions)
        assert prompt_by_key("brief_generator").pk == copy.pk


def test_a_call_must_name_a_prompt(owner: Person) -> None:
    with owner.at_work(), pytest.raises(InvalidInput):
        version_resolve()
    prompt = prompt_of(owner)
    with owner.at_work():
        version = prompt.versions.get()
        assert version_resolve(version_id=version.pk).id == version.pk
