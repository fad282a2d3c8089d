"""The router that ships: keywords in two languages, length, and whether a text to work on was given."""

import re

from tasks_app.contracts import Route
from tasks_app.router.split import Split, split_input, weight
from tasks_app.router.titles import title_of
from tasks_app.router.words import (
    ARTICLE,
    CJK,
    CODE,
    FILLER_EN,
    FILLER_ZH,
    NO_TOPIC,
    PROMPT,
    PROMPT_OPENING,
    REVIEW,
    REWRITE,
)

NEW_WITH_BRIEF, NEW_WITHOUT_BRIEF, REWRITE_TEXT, REVIEW_TEXT = "A", "B", "C", "D"
_BRIEF_AT_LEAST = 300
# "an article about prompts" against "a prompt for articles": in English the first noun rules, in Chinese the last.
_WORD_EN = re.compile(r"[A-Za-z][A-Za-z'’-]*|\d+[A-Za-z]+")


class RuleRouter:
    """Rules first: article, prompt or general; then the stage, from what is at hand."""

    def route(self, input_text: str, *, preferred_workspace: str = "") -> Route:
        """Return the route of ``input_text``; never fails, whatever the text."""
        split = split_input(input_text)
        workspace, reason = (preferred_workspace, "preferred") if preferred_workspace else _workspace(split)
        return Route(
            workspace_key=workspace,
            stage=_stage(workspace, split),
            title=title_of(split.instruction, split.original),
            instruction=split.instruction,
            original=split.original,
            language=_language(input_text),
            reason=f"{reason}, {split.how}" if split.how else reason,
        )


def has_topic(instruction: str) -> bool:
    """Whether ``instruction`` says what to write about: words remain when those of asking are taken away."""
    if weight(instruction) >= _BRIEF_AT_LEAST:
        return True
    if NO_TOPIC.search(instruction):
        return False
    english = [word for word in _WORD_EN.findall(instruction) if word.lower() not in FILLER_EN]
    english = [word for word in english if not re.fullmatch(r"\d+[A-Za-z]*|x+", word)]
    chinese = CJK.findall(FILLER_ZH.sub(" ", instruction))
    return bool(english) or len(chinese) >= 2


def _workspace(split: Split) -> tuple[str, str]:
    asked = split.instruction
    if _is_about_prompt(asked) or (not PROMPT.search(asked) and PROMPT_OPENING.match(split.original)):
        return "prompt", "prompt words"
    if _is_about_prompt_itself(split):
        return "prompt", "a prompt was given"
    if split.original and CODE.search(asked) and not ARTICLE.search(asked):
        return "general", "code was given"
    if ARTICLE.search(asked):
        return "article", "article words"
    if split.original and (not asked or REWRITE.search(asked) or REVIEW.search(asked)):
        return "article", "a text was given"
    return "general", "the rest"


def _is_about_prompt(asked: str) -> bool:
    prompts, articles = list(PROMPT.finditer(asked)), list(ARTICLE.finditer(asked))
    if not prompts or not articles:
        return bool(prompts)
    if CJK.search(asked):
        return prompts[-1].end() > articles[-1].end()
    return prompts[0].start() < articles[0].start()


def _is_about_prompt_itself(split: Split) -> bool:
    return not split.original and bool(PROMPT_OPENING.match(split.instruction)) and weight(split.instruction) > 120


def _stage(workspace: str, split: Split) -> str:
    if split.original:
        only_review = REVIEW.search(split.instruction) and not REWRITE.search(split.instruction)
        return REVIEW_TEXT if only_review else REWRITE_TEXT
    if workspace == "article" and not has_topic(split.instruction):
        return NEW_WITHOUT_BRIEF
    return NEW_WITH_BRIEF


def _language(text: str) -> str:
    letters = sum(character.isalpha() for character in text)
    return "zh-hans" if letters and len(CJK.findall(text)) * 3 >= letters else "en"
