"""Pieces of the handlers' JSON Schemas."""

from workflows_app.contracts import Json

CALL: Json = {
    "model": {"type": "string"},
    "tokens": {"type": "integer", "minimum": 0},
    "cost_usd": {"type": "string", "pattern": "^[0-9]+(\\.[0-9]+)?(E-?[0-9]+)?$"},
}
UUID_TEXT: Json = {"type": "string", "format": "uuid"}
FINDINGS: Json = {"type": "array", "items": {"type": "object", "required": ["code", "message"]}}
MODEL_PARAMS: Json = {
    "model": {"description": "A model of the catalogue; the default one when absent.", "type": "string"},
    "max_tokens": {"type": "integer", "minimum": 1, "maximum": 200000},
}


def output(required: list[str], **properties: Json) -> Json:
    """Return the schema of an output with these properties and no others."""
    return {"type": "object", "required": required, "properties": properties, "additionalProperties": False}


def params(**properties: Json) -> Json:
    """Return the schema of optional parameters and no others."""
    return {"type": "object", "properties": properties, "additionalProperties": False}
