"""Fields whose JSON the services check: they name the message, variable or assertion at fault."""

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

MAX_VARIABLE_CHARS = 200_000


@extend_schema_field({"type": "array", "items": {"type": "object", "required": ["role", "content"]}})
class MessagesField(serializers.JSONField):
    """``[{"role": "system" | "developer" | "user" | "assistant", "content": "…"}]``."""


@extend_schema_field({"type": "array", "items": {"type": "object", "required": ["name"]}})
class VariablesField(serializers.JSONField):
    """``[{"name", "description", "required", "default", "trusted"}]``."""


@extend_schema_field({"type": "object", "additionalProperties": True})
class ObjectField(serializers.JSONField):
    """Any JSON object."""


@extend_schema_field({"type": "array", "items": {"type": "object", "required": ["type", "value"]}})
class AssertionsField(serializers.JSONField):
    """``[{"type": "contains", "value": "…"}]``."""


class ValuesField(serializers.DictField):
    """Values for variables, by name; white space is part of a value."""

    child = serializers.CharField(allow_blank=True, trim_whitespace=False, max_length=MAX_VARIABLE_CHARS)
