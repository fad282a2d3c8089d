from rest_framework import serializers

from accounts_app.contracts import NewApiKey
from accounts_app.models import ApiKey
from accounts_app.services.api_keys import NAME_LENGTH


class ApiKeyInput(serializers.Serializer[None]):
    name = serializers.CharField(max_length=NAME_LENGTH)
    expires_at = serializers.DateTimeField(required=False, allow_null=True, default=None)


class ApiKeyOutput(serializers.ModelSerializer[ApiKey]):
    owner = serializers.EmailField(source="user.email", read_only=True, default=None)

    class Meta:
        model = ApiKey
        fields = ["id", "name", "prefix", "owner", "created_at", "expires_at", "revoked_at", "last_used_at"]


class NewApiKeyOutput(serializers.Serializer[NewApiKey]):
    id = serializers.UUIDField()
    name = serializers.CharField()
    prefix = serializers.CharField()
    key = serializers.CharField(source="secret", help_text="The whole key. It is shown only here.")
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField(allow_null=True)
