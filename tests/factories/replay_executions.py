from accounts_app.tenancy.context import Tenant
from tests.factories.accounts import Person
from tests.factories.replay import Replay, named_in_body, owned_object
from tests.factories.tasks import make_task
from tests.factories.workflows import run_id_of

_ONE = "api/v1/executions/<uuid:run_id>"
_PARTS = ("history", "steps", "logs", "children", "pause", "resume", "cancel", "retry", "replay", "signal")


@owned_object(_ONE, *(f"{_ONE}/{part}" for part in _PARTS))
def execution(owner: Person) -> Replay:
    tenant = Tenant(organization_id=owner.organization_id, user_id=owner.id, role=owner.role)
    return Replay({"run_id": run_id_of(tenant, "finish")}, body={"seq": 1, "name": "go", "data": {}})


@named_in_body("api/v1/executions")
def execution_about_their_task(owner: Person) -> Replay:
    with owner.at_work():
        task = make_task()
    return Replay(body={"template": "general", "input": {}, "task": str(task.pk)})
