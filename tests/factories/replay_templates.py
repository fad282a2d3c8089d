import uuid

from accounts_app.tenancy.context import Tenant
from tests.factories.accounts import Person
from tests.factories.replay import Replay, owned_object
from tests.factories.workflows import acting, document
from workflows_app.services.templates import template_create

_ONE = "api/v1/templates/<uuid:template_id>"
_PARTS = ("publish", "activate", "deactivate", "default", "duplicate", "diff", "export", "pack")


@owned_object(_ONE, *(f"{_ONE}/{part}" for part in _PARTS))
def template(owner: Person) -> Replay:
    tenant = Tenant(organization_id=owner.organization_id, user_id=owner.id, role=owner.role)
    whole = document([{"action": "finish"}])
    with acting(tenant):
        draft = template_create(config=whole, name=f"Theirs {uuid.uuid4()}")
    return Replay({"template_id": draft.pk}, body={"name": "Mine", "config": whole})
