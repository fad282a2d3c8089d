from rest_framework import serializers

from accounts_app.contracts import NewApiKey, SentInvitation, TokenPair
from accounts_app.models import ApiKey, Invitation, IpAction, IpRule, Project, Role, Scope
from accounts_app.services.api_keys import NAME_LENGTH
from accounts_app.services.ip_rules import NOTE_LENGTH
from accounts_app.services.projects import DESCRIPTION_LENGTH
from accounts_app.services.projects import NAME_LENGTH as PROJECT_NAME_LENGTH


class ApiKeyInput(serializers.Serializer[None]):
    name = serializers.CharField(max_length=NAME_LENGTH)
    expires_at = serializers.DateTimeField(required=False, allow_null=True, default=None)
    project = serializers.UUIDField(source="project_id", required=False, allow_null=True, default=None)
    scopes = serializers.ListField(
        child=serializers.ChoiceField(choices=Scope.choices),
        required=False,
        help_text="All that you have unless named.",
    )
    models = serializers.ListField(
        child=serializers.CharField(max_length=120),
        required=False,
        default=list,
        help_text="Patterns like `gpt-5*`; none: every model.",
    )


class ApiKeyChange(serializers.Serializer[None]):
    name = serializers.CharField(max_length=NAME_LENGTH, required=False)
    expires_at = serializers.DateTimeField(required=False, allow_null=True)
    project = serializers.UUIDField(source="project_id", required=False, allow_null=True)
    scopes = serializers.ListField(child=serializers.ChoiceField(choices=Scope.choices), required=False)
    models = serializers.ListField(child=serializers.CharField(max_length=120), required=False)


class ApiKeyRotation(serializers.Serializer[None]):
    grace_hours = serializers.IntegerField(
        min_value=0, max_value=720, default=0, help_text="For so long the old secret works beside the new one."
    )


class ApiKeyOutput(serializers.ModelSerializer[ApiKey]):
    owner = serializers.EmailField(source="user.email", read_only=True, default=None)
    project = serializers.UUIDField(source="project_id", read_only=True, allow_null=True)
    previous_expires_at = serializers.DateTimeField(
        read_only=True, allow_null=True, help_text="Until then the secret from before the last rotation works too."
    )

    class Meta:
        model = ApiKey
        fields = [
            "id",
            "name",
            "prefix",
            "owner",
            "project",
            "scopes",
            "models",
            "created_at",
            "expires_at",
            "previous_expires_at",
            "revoked_at",
            "last_used_at",
        ]


class NewApiKeyOutput(serializers.Serializer[NewApiKey]):
    id = serializers.UUIDField()
    name = serializers.CharField()
    prefix = serializers.CharField()
    key = serializers.CharField(source="secret", help_text="The whole key. It is shown only here.")
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField(allow_null=True)


class ProjectInput(serializers.Serializer[None]):
    name = serializers.CharField(max_length=PROJECT_NAME_LENGTH)
    description = serializers.CharField(max_length=DESCRIPTION_LENGTH, required=False, allow_blank=True, default="")
    log_prompts = serializers.BooleanField(
        required=False, default=False, help_text="Lets prompts and answers into the logs. For owners and admins."
    )


class ProjectChange(serializers.Serializer[None]):
    name = serializers.CharField(max_length=PROJECT_NAME_LENGTH, required=False)
    description = serializers.CharField(max_length=DESCRIPTION_LENGTH, required=False, allow_blank=True)
    log_prompts = serializers.BooleanField(required=False)


class ProjectOutput(serializers.ModelSerializer[Project]):
    class Meta:
        model = Project
        fields = ["id", "name", "description", "log_prompts", "created_at", "archived_at"]


class InvitationInput(serializers.Serializer[None]):
    email = serializers.EmailField()
    role = serializers.ChoiceField(choices=Role.choices, default=Role.MEMBER)


class InvitationOutput(serializers.ModelSerializer[Invitation]):
    class Meta:
        model = Invitation
        fields = ["id", "email", "role", "created_at", "sent_at", "expires_at", "is_expired"]

    is_expired = serializers.BooleanField(read_only=True)


class SentInvitationOutput(serializers.Serializer[SentInvitation]):
    id = serializers.UUIDField()
    email = serializers.EmailField()
    role = serializers.ChoiceField(choices=Role.choices)
    expires_at = serializers.DateTimeField()
    link = serializers.URLField(help_text="What the mail says to open. It is shown only here.")


class IpRuleInput(serializers.Serializer[None]):
    action = serializers.ChoiceField(choices=IpAction.choices)
    network = serializers.CharField(max_length=60, help_text="`203.0.113.7`, `203.0.113.0/24`, `2001:db8::/32`")
    note = serializers.CharField(max_length=NOTE_LENGTH, required=False, allow_blank=True, default="")
    project = serializers.UUIDField(source="project_id", required=False, allow_null=True, default=None)
    api_key = serializers.UUIDField(source="api_key_id", required=False, allow_null=True, default=None)


class IpRuleOutput(serializers.ModelSerializer[IpRule]):
    project = serializers.UUIDField(source="project_id", read_only=True, allow_null=True)
    api_key = serializers.UUIDField(source="api_key_id", read_only=True, allow_null=True)

    class Meta:
        model = IpRule
        fields = ["id", "action", "network", "note", "project", "api_key", "created_at"]


class SignInInput(serializers.Serializer[None]):
    email = serializers.EmailField()
    password = serializers.CharField(trim_whitespace=False, max_length=1000)
    code = serializers.CharField(
        required=False,
        allow_blank=True,
        default="",
        max_length=40,
        help_text="A one-time or recovery code, where the account has a second factor.",
    )
    organization = serializers.UUIDField(
        required=False, allow_null=True, default=None, help_text="Where to work; your oldest organization unless named."
    )


class RefreshInput(serializers.Serializer[None]):
    refresh = serializers.CharField(max_length=4000)


class TokenPairOutput(serializers.Serializer[TokenPair]):
    access = serializers.CharField(help_text="Send it as `Authorization: Bearer …`.")
    refresh = serializers.CharField(help_text="Works once: each renewal gives another.")
    access_expires_in = serializers.IntegerField(help_text="Seconds.")
    refresh_expires_in = serializers.IntegerField(help_text="Seconds.")
    organization = serializers.UUIDField(source="organization_id")
