from rest_framework import serializers

from billing_app.contracts import PriceRef
from gateway_app.contracts import ModelCard


def _usd() -> serializers.DecimalField:
    return serializers.DecimalField(max_digits=20, decimal_places=10, normalize_output=True)


class PriceSerializer(serializers.Serializer[PriceRef]):
    """USD per 1,000,000 tokens of each kind, per request and per image."""

    input = _usd()
    cached_input = _usd()
    cache_write = _usd()
    output = _usd()
    reasoning = _usd()
    per_request = _usd()
    per_image = _usd()
    image_tiers = serializers.DictField(
        child=_usd(), help_text="USD per image by quality/size; others cost per_image and are refused where that is 0."
    )


class ModelSerializer(serializers.Serializer[ModelCard]):
    key = serializers.CharField()
    name = serializers.CharField()
    provider = serializers.CharField()
    kind = serializers.ChoiceField(choices=["chat", "embedding", "image", "other"])
    active = serializers.BooleanField(source="is_available", help_text="Whether it can be called now.")
    default = serializers.BooleanField(source="is_default", help_text="Whether it writes when no model is named.")
    local = serializers.BooleanField(source="is_local", help_text="The tiny model on this machine.")
    context_window = serializers.IntegerField(help_text="Tokens.")
    max_output_tokens = serializers.IntegerField()
    prices = PriceSerializer(source="price", allow_null=True)
    fallback = serializers.CharField(help_text="The cheaper model that takes its calls when a budget runs out.")
    note = serializers.CharField(help_text="A word for the person who chooses.")
    source = serializers.CharField()  # type: ignore[assignment] # the price list, not the field of that name
    source_date = serializers.DateField(allow_null=True)


class CatalogueSerializer(serializers.Serializer[object]):
    default = serializers.CharField(help_text="The model that writes when none is named; empty when none is set up.")
    local_notice = serializers.BooleanField(help_text="Whether that is the tiny local model, which pages must say.")
    models = ModelSerializer(many=True)
