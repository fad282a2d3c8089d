"""What the API says about money: every amount is a string with all its decimal places, in USD."""

from rest_framework import serializers

from billing_app.models import Transaction, UsageRecord


class WalletSerializer(serializers.Serializer):  # type: ignore[type-arg]
    balance = serializers.DecimalField(max_digits=20, decimal_places=10)
    frozen = serializers.DecimalField(max_digits=20, decimal_places=10)
    available = serializers.DecimalField(max_digits=20, decimal_places=10)
    credits = serializers.IntegerField()


class TransactionSerializer(serializers.ModelSerializer[Transaction]):
    class Meta:
        model = Transaction
        fields = [
            "id",
            "seq",
            "kind",
            "amount",
            "balance_after",
            "frozen_after",
            "hold_id",
            "billing_ref_id",
            "trace_id",
            "note",
            "created_at",
        ]
        read_only_fields = fields


class UsageSerializer(serializers.ModelSerializer[UsageRecord]):
    class Meta:
        model = UsageRecord
        fields = [
            "id",
            "call_id",
            "user_id",
            "task_id",
            "run_id",
            "step_key",
            "prompt_version_id",
            "project_id",
            "api_key_id",
            "endpoint",
            "provider",
            "model",
            "ending",
            "input_tokens",
            "output_tokens",
            "uncached_input_tokens",
            "cached_input_tokens",
            "cache_write_tokens",
            "visible_output_tokens",
            "reasoning_tokens",
            "price_id",
            "cost_usd",
            "charged_usd",
            "trace_id",
            "meta",
            "created_at",
        ]
        read_only_fields = fields
