"""The prompts and eval suites that every organization finds: what they are called and what they need.

Names and descriptions are stored in English and translated where they are shown. The prompts' text is beside this file
in ``prompts/KEY.LANGUAGE.md``, its messages parted by lines such as ``--- system``.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.utils.translation import gettext_noop as _

from prompts_app.contracts import VariableSpec

TEXTS = Path(__file__).parent / "prompts"
LANGUAGES = ("en", "zh-hans")


@dataclass(frozen=True)
class SeedPrompt:
    """One shared prompt. ``defaults`` holds, by language, the default of the variables named in it."""

    key: str
    name: str
    description: str
    workspace_key: str
    variables: tuple[VariableSpec, ...]
    max_tokens: int
    temperature: float
    defaults: dict[str, dict[str, str]] = field(default_factory=dict)

    def messages(self, language: str) -> list[dict[str, str]]:
        """Return the messages in ``language``."""
        return parse((TEXTS / f"{self.key}.{language}.md").read_text(encoding="utf-8"))

    def specs(self, language: str) -> list[dict[str, Any]]:
        """Return the variables as they are stored, with the defaults of ``language``."""
        defaults = self.defaults.get(language, {})
        return [spec.as_json() | {"default": defaults.get(spec.name, spec.default)} for spec in self.variables]


def parse(text: str) -> list[dict[str, str]]:
    """Return the messages of a prompt file: ``--- ROLE`` begins one, and the lines up to the next are its content."""
    messages: list[dict[str, str]] = []
    for line in text.splitlines():
        if line.startswith("--- "):
            messages.append({"role": line.removeprefix("--- ").strip(), "content": ""})
        else:
            messages[-1]["content"] += f"{line}\n"
    return [{**message, "content": message["content"].strip()} for message in messages]


def _optional(name: str, description: str, *, trusted: bool = False) -> VariableSpec:
    return VariableSpec(name=name, description=description, required=False, trusted=trusted)


_FINDINGS = _optional("findings", _("What the review found, one line each."))
_TITLE = _optional("title", _("The wished title, if there is one."))

PROMPTS = (
    SeedPrompt(
        key="draft_template",
        name=_("Article draft"),
        description=_("Writes a complete article in Markdown from a brief."),
        workspace_key="article",
        variables=(
            VariableSpec(name="brief", description=_("What the article is to be about.")),
            _TITLE,
            _optional("audience", _("Who will read it."), trusted=True),
            _optional("tone", _("How it should sound."), trusted=True),
            _FINDINGS,
        ),
        max_tokens=2000,
        temperature=0.7,
        defaults={
            "en": {"audience": "interested general readers", "tone": "friendly and matter-of-fact"},
            "zh-hans": {"audience": "对此感兴趣的普通读者", "tone": "亲切、平实"},
        },
    ),
    SeedPrompt(
        key="brief_generator",
        name=_("Brief from a wish"),
        description=_(
            "Turns one sentence about a wished article into a brief with topic, readers, key points and length."
        ),
        workspace_key="article",
        variables=(VariableSpec(name="brief", description=_("The wish, in the person's own words.")), _TITLE),
        max_tokens=500,
        temperature=0.5,
    ),
    SeedPrompt(
        key="text_rewriter",
        name=_("Text rewriter"),
        description=_("Rewrites a given text as instructed and keeps what it says."),
        workspace_key="article",
        variables=(
            VariableSpec(name="original", description=_("The text to rewrite.")),
            _optional("instruction", _("How it should change."), trusted=True),
        ),
        max_tokens=2500,
        temperature=0.4,
        defaults={
            "en": {"instruction": "Make the text clearer and more fluent."},
            "zh-hans": {"instruction": "让文章更清楚、更流畅。"},
        },
    ),
    SeedPrompt(
        key="text_optimizer",
        name=_("Text optimizer"),
        description=_("Corrects a text by the findings of a review and leaves the rest as it is."),
        workspace_key="article",
        variables=(
            VariableSpec(name="text", description=_("The text to correct.")),
            _FINDINGS,
            _optional("instruction", _("Further wishes."), trusted=True),
        ),
        max_tokens=2500,
        temperature=0.3,
        defaults={
            "en": {"findings": "No findings: make the text clearer and more fluent."},
            "zh-hans": {"findings": "没有具体意见：请让文章更清楚、更流畅。"},
        },
    ),
    SeedPrompt(
        key="prompt_drafter",
        name=_("Prompt draft"),
        description=_("Writes a prompt for a language model from a description of the work."),
        workspace_key="prompt",
        variables=(VariableSpec(name="brief", description=_("What the prompt is to bring about.")), _FINDINGS),
        max_tokens=1200,
        temperature=0.5,
    ),
    SeedPrompt(
        key="prompt_optimizer",
        name=_("Prompt optimizer"),
        description=_("Improves a prompt by the linter's findings and an instruction, and keeps its variables."),
        workspace_key="prompt",
        variables=(
            VariableSpec(name="prompt", description=_("The prompt's messages, each in a block.")),
            _optional("variables", _("The variables that must stay."), trusted=True),
            _FINDINGS,
            _optional("instruction", _("How it should change."), trusted=True),
        ),
        max_tokens=3000,
        temperature=0.3,
    ),
    SeedPrompt(
        key="general_answer",
        name=_("Answer"),
        description=_("Answers a question directly, then gives reasons or steps."),
        workspace_key="general",
        variables=(
            VariableSpec(name="brief", description=_("The question.")),
            _optional("original", _("A text that the question is about.")),
        ),
        max_tokens=1000,
        temperature=0.5,
    ),
)


@dataclass(frozen=True)
class SeedCase:
    """One case of a shared suite."""

    name: str
    assertions: tuple[dict[str, Any], ...]
    variables: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class SeedSuite:
    """One shared eval suite."""

    key: str
    name: str
    description: str
    workspace_key: str
    cases: tuple[SeedCase, ...]


def _says(kind: str, value: Any) -> dict[str, Any]:
    return {"type": kind, "value": value}


_NO_BOILERPLATE = SeedCase(
    name=_("Does not talk about being a model"),
    assertions=(
        _says("not-icontains", "as an AI language model"),
        _says("not-icontains", "as a large language model"),
        _says("not-contains", "作为一个AI"),
        _says("not-contains", "作为人工智能"),
    ),
)
_NO_PLACEHOLDER = SeedCase(
    name=_("Leaves no placeholder open"),
    assertions=(_says("not-regex", r"\[(?i:insert|your|add) [^\]\n]{1,60}\]"), _says("not-icontains", "lorem ipsum")),
)

SUITES = (
    SeedSuite(
        key="article_basics",
        name=_("Article basics"),
        description=_("What any finished article has: substance, an end, and no leftovers."),
        workspace_key="article",
        cases=(
            SeedCase(name=_("Has substance"), assertions=(_says("regex", r"(?s)\S(?:.{98,})\S"),)),
            SeedCase(
                name=_("Ends with a finished sentence"), assertions=(_says("regex", r"[.!?。！？…”\"')）】*_`]\s*\Z"),)
            ),
            _NO_PLACEHOLDER,
            _NO_BOILERPLATE,
        ),
    ),
    SeedSuite(
        key="prompt_basics",
        name=_("Prompt basics"),
        description=_("What any usable prompt has: enough words to act on, and no open ends."),
        workspace_key="prompt",
        cases=(
            SeedCase(name=_("Says enough to act on"), assertions=(_says("regex", r"(?s)\S(?:.{38,})\S"),)),
            SeedCase(
                name=_("Contains no template tags"),
                assertions=(_says("not-contains", "{%"), _says("not-contains", "{{#")),
            ),
            _NO_PLACEHOLDER,
            _NO_BOILERPLATE,
        ),
    ),
    SeedSuite(
        key="general_basics",
        name=_("Answer basics"),
        description=_("What any answer has: content, and no talk about the answerer."),
        workspace_key="general",
        cases=(
            SeedCase(name=_("Says something"), assertions=(_says("regex", r"\w"),)),
            SeedCase(name=_("Does not refuse"), assertions=(_says("not-icontains", "I cannot help with"),)),
            _NO_BOILERPLATE,
        ),
    ),
)
