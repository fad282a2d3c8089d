from accounts_app.tenancy.context import Tenant
from tests.factories.accounts import Person
from tests.factories.replay import Replay, owned_object
from tests.factories.workflows import document, made_up_config

_VERSION = "api/workflows/<slug:workspace>/versions/<uuid:config_id>"


@owned_object(_VERSION, f"{_VERSION}/publish")
def workflow_version(owner: Person) -> Replay:
    tenant = Tenant(organization_id=owner.organization_id, user_id=owner.id, role=owner.role)
    config = made_up_config(tenant, "finish")
    return Replay({"workspace": config.workspace_id, "config_id": config.pk}, body={"config": document([])})
