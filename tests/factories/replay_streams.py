from uuid import uuid4

from gateway_app.services.streams import stream_open
from tests.factories.accounts import Person
from tests.factories.replay import Replay, owned_object


@owned_object("api/streams/<uuid:stream_id>/events")
def stream(owner: Person) -> Replay:
    with owner.at_work():
        return Replay({"stream_id": stream_open(kind="run", subject_id=uuid4())})
