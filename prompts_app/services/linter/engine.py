"""Which rules apply to which document, and what of them the author has switched off."""

import re
from collections.abc import Iterable, Iterator
from itertools import islice

from prompts_app.contracts import Finding, LintDocument
from prompts_app.services.linter import conversation, privacy, prose, templates, wording
from prompts_app.services.linter.source import Source
from prompts_app.services.templating import contents_of

MAX_FINDINGS = 500
# <!-- lint-disable 302 303 --> for its own line and the next one; without codes for all rules; -field for all lines.
_DISABLE = re.compile(r"<!--[ ]{0,4}lint-disable(-field)?((?:[ ,]{1,3}\d{3}){0,20})[ ]{0,4}-->")
_SEVERITIES = {"error": 0, "warning": 1, "note": 2}


def lint(document: LintDocument) -> tuple[Finding, ...]:
    """Return what there is to say about ``document``, in reading order, in the active language.

    Takes time in proportion to the length of the text. At most 500 findings are returned, errors before the rest
    when there are more.
    """
    sources = _sources(document)
    rules = _prompt_rules(document, sources) if document.target == "prompt" else _text_rules(document, sources[0])
    found = (item for rule in rules for item in islice(rule, MAX_FINDINGS))
    disabled = _disabled(sources)
    allowed = [item for item in found if not _is_disabled(item, disabled)]
    if len(allowed) > MAX_FINDINGS:
        allowed = sorted(allowed, key=lambda item: _SEVERITIES[item.severity])[:MAX_FINDINGS]
    order = {source.field: index for index, source in enumerate(sources)}
    return tuple(sorted(allowed, key=lambda item: (order.get(item.field, -1), item.line, item.col, item.code)))


def _sources(document: LintDocument) -> list[Source]:
    if document.target == "text":
        return [Source("text", document.text)]
    return [
        Source(_field(index, message, part), text, str(message.get("role", "")))
        for index, message in enumerate(document.messages)
        if isinstance(message, dict)
        for part, text in enumerate(contents_of(message))
    ]


def _field(index: int, message: dict[str, object], part: int) -> str:
    field = f"messages[{index}].content"
    return f"{field}[{part}].text" if isinstance(message.get("content"), list) else field


def _prompt_rules(document: LintDocument, sources: list[Source]) -> Iterator[Iterator[Finding]]:
    declared = {spec.name: spec for spec in document.variables or ()}
    yield conversation.malformed_messages(document.messages)
    for source in sources:
        yield templates.template_syntax(source)
        yield templates.single_braces(source, declared)
        yield privacy.private_data(source, "error")
        yield wording.overrides(source)
        yield wording.vague_words(source)
        if document.variables is not None:
            yield templates.undefined_variables(source, declared)
            yield wording.unbounded_variables(source, declared)
    if document.variables is not None:
        yield templates.unused_variables(sources, document.variables)
    if document.schema is None:
        yield wording.output_form(sources)
    yield wording.cache_order(sources)
    yield wording.token_budget(sources, document.token_budget)


def _text_rules(document: LintDocument, source: Source) -> Iterator[Iterator[Finding]]:
    found = list(prose.sentences(source))
    yield prose.title_missing(source, document.title)
    yield prose.long_sentences(source, found)
    yield prose.repetitions(source, found)
    yield prose.leftovers(source)
    yield prose.boilerplate(source)
    yield prose.cut_off(source)
    yield privacy.private_data(source, "warning")
    yield wording.vague_words(source)


_Disabled = dict[str, list[tuple[int | None, frozenset[str]]]]


def _disabled(sources: Iterable[Source]) -> _Disabled:
    return {source.field: list(_comments(source)) for source in sources if "lint-disable" in source.text}


def _comments(source: Source) -> Iterator[tuple[int | None, frozenset[str]]]:
    for match in _DISABLE.finditer(source.text):
        line = None if match[1] else source.place(match.start())[0]
        yield line, frozenset(re.findall(r"\d{3}", match[2]))


def _is_disabled(item: Finding, disabled: _Disabled) -> bool:
    return any(
        (line is None or line <= item.line <= line + 1) and (not codes or item.code in codes)
        for line, codes in disabled.get(item.field, ())
    )
