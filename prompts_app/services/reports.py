"""Findings as words for a model, and as SARIF for other tools."""

from collections.abc import Iterable, Mapping
from typing import Any

from prompts_app.contracts import Finding

_SARIF_LEVELS = {"error": "error", "warning": "warning", "note": "note"}
_SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def findings_json(findings: Iterable[Finding | Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return findings as they are stored, whether they come from the linter or from a stored run."""
    return [item.as_json() if isinstance(item, Finding) else dict(item) for item in findings]


def findings_text(findings: Iterable[Finding | Mapping[str, Any]]) -> str:
    """Return findings as lines for a model: place, message, reason."""
    return "\n".join(_line(item) for item in findings_json(findings))


def _line(item: Mapping[str, Any]) -> str:
    field = "" if item.get("field") in (None, "", "text") else f"{item['field']}, "
    place = f"({field}line {item.get('line', 1)}, column {item.get('col', 1)})"
    return f"- {place} {item.get('message', '')} {item.get('why', '')}".rstrip()


def summary(findings: Iterable[Finding]) -> dict[str, int]:
    """Return how many errors, warnings and notes there are, and ``total``."""
    counts = {"error": 0, "warning": 0, "note": 0}
    for item in findings:
        counts[item.severity] += 1
    return {
        "errors": counts["error"],
        "warnings": counts["warning"],
        "notes": counts["note"],
        "total": sum(counts.values()),
    }


def sarif(findings: Iterable[Finding]) -> dict[str, Any]:
    """Return findings as a SARIF 2.1.0 log. A field stands where SARIF has a file; columns count code points."""
    found = list(findings)
    reasons = {item.code: item.why for item in found}
    rules = [{"id": code, "shortDescription": {"text": why}} for code, why in sorted(reasons.items())]
    run = {
        "tool": {"driver": {"name": "DeepSpace linter", "rules": rules}},
        "columnKind": "unicodeCodePoints",
        "results": [_sarif_result(item) for item in found],
    }
    return {"$schema": _SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}


def _sarif_result(item: Finding) -> dict[str, Any]:
    artifact = {"uri": item.field.replace("[", "/").replace("]", "").replace(".", "/")}
    region = _region(item.line, item.col, item.end_line, item.end_col)
    result: dict[str, Any] = {
        "ruleId": item.code,
        "level": _SARIF_LEVELS[item.severity],
        "message": {"text": item.message},
        "locations": [{"physicalLocation": {"artifactLocation": artifact, "region": region}}],
    }
    if item.fix is not None:
        at = item.fix.range
        deleted = _region(at.line, at.col, at.end_line, at.end_col)
        change = {"deletedRegion": deleted, "insertedContent": {"text": item.fix.text}}
        result["fixes"] = [{"artifactChanges": [{"artifactLocation": artifact, "replacements": [change]}]}]
    return result


def _region(line: int, col: int, end_line: int, end_col: int) -> dict[str, int]:
    return {"startLine": line, "startColumn": col, "endLine": end_line, "endColumn": end_col}
