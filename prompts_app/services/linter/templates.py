"""Rules 101, 102, 103 and 105: placeholders and braces."""

import re
from collections.abc import Iterator

from django.utils.translation import gettext as _

from prompts_app.contracts import Finding, Range, VariableSpec
from prompts_app.services.linter.findings import finding, finding_at, replacement
from prompts_app.services.linter.source import Source
from prompts_app.services.templating import NAME, Placeholder, scan

# In this order: a good placeholder (skipped), double braces around something else, a double brace left open, a tag.
_BRACES = re.compile(
    rf"(?P<good>\\?\{{\{{[ \t]{{0,16}}{NAME}[ \t]{{0,16}}\}}\}})"
    r"|\{\{(?P<inner>[^{}\n]{0,200})\}\}"
    r"|(?P<open>\{\{(?!\{))"
    r"|(?P<tag>\{%[^%\n]{0,200}%\})"
)
_HALF_CLOSED = re.compile(rf"\{{\{{[ \t]{{0,16}}({NAME})[ \t]{{0,16}}(\}}(?!\}})|(?=\n|\Z))")
_QUOTED_KEY = re.compile(r"\{\{\s{0,40}[\"']")
_SINGLE = re.compile(rf"(?<![{{\\$])\{{({NAME})\}}(?!\}})")


def template_syntax(source: Source) -> Iterator[Finding]:
    """101 and 105: what looks like a placeholder and is none."""
    if "{" not in source.text:
        return
    for match in _BRACES.finditer(source.text):
        if match["inner"] is not None:
            yield _malformed(source, match)
        elif match["open"]:
            yield from _left_open(source, match.start())
        elif match["tag"]:
            message = _("Tags such as {% if %} are not carried out.")
            yield finding("101", "error", source, match.start(), match.end(), message)


def _malformed(source: Source, match: re.Match[str]) -> Finding:
    start, end, inner = match.start(), match.end(), match["inner"]
    if not inner.strip():
        return finding("101", "error", source, start, end, _("This placeholder has no name."))
    if any(sign in inner for sign in "\"':,"):
        fix = replacement(source, start, end, "{" + inner + "}", safe=False)
        message = _("Double braces around text: the model will see them doubled.")
        return finding("105", "error", source, start, end, message, fix)
    if inner.lstrip()[0] in "#/^>!&":
        message = _("Sections and partials are not supported; only variables are.")
        return finding("101", "error", source, start, end, message)
    message = _("“%(text)s” is no variable's name: letters, digits and underscores, beginning with a letter.")
    return finding("101", "error", source, start, end, message % {"text": inner.strip()[:40]})


def _left_open(source: Source, start: int) -> Iterator[Finding]:
    half = _HALF_CLOSED.match(source.text, start)
    if half is not None:
        fix = replacement(source, start, half.end(), "{{ " + half[1] + " }}", safe=False)
        yield finding("101", "error", source, start, half.end(), _("This placeholder is not closed."), fix)
    elif _QUOTED_KEY.match(source.text, start):
        message = _("Double braces around text: the model will see them doubled.")
        yield finding("105", "error", source, start, start + 2, message)


def undefined_variables(source: Source, declared: dict[str, VariableSpec]) -> Iterator[Finding]:
    """102, and 105 where the placeholder is code that is only being shown."""
    for place in scan(source.text):
        if place.escaped or place.name in declared:
            continue
        if source.in_code(place.start):
            yield _shown_in_code(source, place)
        else:
            message = _("The variable “%(name)s” is not declared.") % {"name": place.name}
            yield finding("102", "error", source, place.start, place.end, message)


def _shown_in_code(source: Source, place: Placeholder) -> Finding:
    fix = replacement(source, place.start, place.end, "\\" + source.text[place.start : place.end], safe=True)
    message = _("This is taken for a placeholder. Write a backslash before it if it is only shown.")
    return finding("105", "error", source, place.start, place.end, message, fix)


def single_braces(source: Source, declared: dict[str, VariableSpec]) -> Iterator[Finding]:
    """105: a declared variable in single braces, which nothing fills in."""
    for match in _SINGLE.finditer(source.text):
        if match[1] in declared:
            fix = replacement(source, match.start(), match.end(), "{{ " + match[1] + " }}", safe=False)
            message = _("A placeholder has two braces on each side; this is sent as it stands.")
            yield finding("105", "warning", source, match.start(), match.end(), message, fix)


def unused_variables(sources: list[Source], variables: tuple[VariableSpec, ...]) -> Iterator[Finding]:
    """103: declared and never used. The place is the variable's own name."""
    used = {place.name for source in sources for place in scan(source.text) if not place.escaped}
    for index, spec in enumerate(variables):
        if spec.name not in used:
            message = _("The variable “%(name)s” is declared but not used.") % {"name": spec.name}
            at = Range(1, 1, 1, len(spec.name) + 1)
            yield finding_at("103", "warning", f"variables[{index}].name", at, message)
