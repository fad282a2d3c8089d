from accounts_app.tenancy.context import Tenant
from tests.factories.accounts import Person
from tests.factories.replay import Replay, owned_object
from tests.factories.schedules import scheduled

_ONE = "api/v1/schedules/<uuid:schedule_id>"


def _tenant(owner: Person) -> Tenant:
    return Tenant(organization_id=owner.organization_id, user_id=owner.id, role=owner.role)


@owned_object(_ONE, f"{_ONE}/pause", f"{_ONE}/resume", f"{_ONE}/run")
def schedule(owner: Person) -> Replay:
    return Replay({"schedule_id": scheduled(_tenant(owner)).pk}, body={"name": "mine"})
