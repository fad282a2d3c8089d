"""The initial data: complete in both languages, loadable any number of times."""

import pytest

from accounts_app.tenancy.context import operator_atomic
from prompts_app.models import EvalSuite, Prompt, PromptVersion
from prompts_app.seeds.catalogue import LANGUAGES, PROMPTS, SUITES
from prompts_app.seeds.loader import load
from prompts_app.services.templating import variables_used


@pytest.mark.parametrize("seed", PROMPTS, ids=lambda seed: seed.key)
@pytest.mark.parametrize("language", LANGUAGES)
def test_seed_texts_use_exactly_the_declared_variables(seed, language) -> None:  # type: ignore[no-untyped-def]
    assert set(variables_used(seed.messages(language))) == {spec.name for spec in seed.variables}


@pytest.mark.django_db
def test_seeds_are_there_after_migration_and_loading_again_adds_nothing() -> None:
    with operator_atomic("test"):
        before = PromptVersion.objects.count()
        assert set(Prompt.objects.filter(organization=None).values_list("key", flat=True)) == {s.key for s in PROMPTS}
        assert set(EvalSuite.objects.filter(organization=None).values_list("key", flat=True)) == {s.key for s in SUITES}
        assert "0 new versions" in load()
        assert PromptVersion.objects.count() == before == len(PROMPTS) * len(LANGUAGES)
