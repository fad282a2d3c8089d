from accounts_app.services.api_keys import api_key_create
from tests.factories.accounts import Person
from tests.factories.replay import Replay, owned_object


@owned_object("api/keys/<uuid:key_id>/")
def api_key(owner: Person) -> Replay:
    with owner.at_work():
        return Replay({"key_id": api_key_create(name="theirs").id})
