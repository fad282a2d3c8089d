"""How findings are made: each rule's reason, and a place in the text."""

from django.utils.translation import gettext_lazy as _

from prompts_app.contracts import Finding, Fix, Range, Severity
from prompts_app.services.linter.source import Source

# What each rule guards against, told to the person who reads the finding.
WHY = {
    "101": _("What is not a complete placeholder is sent to the model as it stands."),
    "102": _("Nothing can be filled in for a variable that the prompt does not declare."),
    "103": _("Whoever fills it in believes that it has an effect."),
    "105": _("Braces that are not meant as a placeholder are easily taken for one, by people and by the template."),
    "106": _("Providers refuse a conversation whose messages do not fit together."),
    "201": _("Text from strangers may contain orders. Between tags a model can tell it from yours."),
    "202": _("Whatever is in a text is stored, shown to others and sent to the provider."),
    "203": _("Such a sentence is how strangers' text takes over a model."),
    "302": _("A model and a reader each understand it differently, and nobody can check it."),
    "303": _("Without a form the answer looks different each time, and programs cannot read it."),
    "401": _("Providers charge less for a beginning that stays the same; what changes belongs at the end."),
    "402": _("Long prompts cost more each time, and beyond the model's window the call fails."),
    "601": _("A title tells the reader what to expect, and search engines too."),
    "602": _("Readers lose the thread in a sentence of this length."),
    "603": _("A repetition says nothing new; models tend to go round in circles."),
    "604": _("It was meant to be filled in before anybody reads the text."),
    "605": _("It speaks about the writer's tool, not about the subject."),
    "606": _("The text seems to stop in the middle."),
}


def finding(
    code: str, severity: Severity, source: Source, start: int, end: int, message: str, fix: Fix | None = None
) -> Finding:
    """Return a finding from offset ``start`` to before ``end`` of ``source``."""
    return finding_at(code, severity, source.field, source.range(start, end), message, fix)


def finding_at(code: str, severity: Severity, field: str, at: Range, message: str, fix: Fix | None = None) -> Finding:
    """Return a finding at a place that is already known."""
    return Finding(
        code=code,
        severity=severity,
        field=field,
        line=at.line,
        col=at.col,
        end_line=at.end_line,
        end_col=at.end_col,
        message=message,
        why=str(WHY[code]),
        fix=fix,
    )


def replacement(source: Source, start: int, end: int, text: str, *, safe: bool) -> Fix:
    """Return the fix that puts ``text`` in place of a stretch of ``source``."""
    return Fix(range=source.range(start, end), text=text, safe=safe)
