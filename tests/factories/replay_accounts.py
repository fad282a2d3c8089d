from uuid import uuid4

from django.utils import timezone

from accounts_app.models import Invitation
from accounts_app.services.api_keys import api_key_create
from accounts_app.services.invitations import LIFETIME
from accounts_app.services.ip_rules import ip_rule_add
from accounts_app.services.projects import project_create
from tests.factories.accounts import Person
from tests.factories.replay import Replay, named_in_body, owned_object


@owned_object("api/keys/<uuid:key_id>/", "api/keys/<uuid:key_id>/rotate/")
def api_key(owner: Person) -> Replay:
    with owner.at_work():
        return Replay({"key_id": api_key_create(name="theirs").id}, {"name": "mine now"})


@owned_object(
    "api/projects/<uuid:project_id>/",
    "api/projects/<uuid:project_id>/archive/",
    "api/projects/<uuid:project_id>/restore/",
)
def project(owner: Person) -> Replay:
    with owner.at_work():
        return Replay({"project_id": project_create(name="theirs").pk}, {"name": "mine now"})


@owned_object("api/invitations/<uuid:invitation_id>/", "api/invitations/<uuid:invitation_id>/resend/")
def invitation(owner: Person) -> Replay:
    # A personal organization, as the owner's is, invites nobody by itself.
    now = timezone.now()
    with owner.at_work():
        made = Invitation.objects.create(
            organization_id=owner.organization_id,
            user=owner.user,
            email="guest@example.com",
            role="member",
            token_hash=uuid4().hex,
            sent_at=now,
            expires_at=now + LIFETIME,
        )
    return Replay({"invitation_id": made.pk})


@owned_object("api/ip-rules/<uuid:rule_id>/")
def ip_rule(owner: Person) -> Replay:
    with owner.at_work():
        return Replay({"rule_id": ip_rule_add(action="deny", network="203.0.113.0/24").pk})


@named_in_body("api/keys/")
def key_in_their_project(owner: Person) -> Replay:
    with owner.at_work():
        return Replay(body={"name": "mine", "project": str(project_create(name="theirs").pk)})


@named_in_body("api/ip-rules/")
def rule_of_their_key(owner: Person) -> Replay:
    with owner.at_work():
        key_id = api_key_create(name="theirs").id
    return Replay(body={"action": "allow", "network": "203.0.113.7", "api_key": str(key_id)})
