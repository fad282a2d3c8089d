import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis
from django.conf import settings
from django.db import IntegrityError, transaction

from accounts_app.exceptions import NotFound, TenantRequired
from accounts_app.services.users import user_create
from accounts_app.tenancy.context import Tenant, bound, operator_atomic, tenant_context
from gateway_app.exceptions import StreamClosed
from gateway_app.models import LiveStream
from gateway_app.services.streams import StreamPublisher, stream_open
from gateway_app.services.streams.buffer import buffer_all
from gateway_app.services.streams.events import StreamEvent
from tests.support.processes import wait_until

pytestmark = pytest.mark.django_db


@pytest.fixture
def tenant() -> Iterator[Tenant]:
    user = user_create(email=f"{uuid.uuid4().hex}@example.com")
    with operator_atomic("test"):
        organization_id = user.memberships.get().organization_id
    with tenant_context(organization_id, user.pk, "owner") as tenant:
        yield tenant


@pytest.fixture
def stream_id(tenant: Tenant) -> uuid.UUID:
    return stream_open(kind="run", subject_id=uuid.uuid4())


def _text(events: list[StreamEvent], step: str = "draft") -> str:
    text = ""
    for event in events:
        if event.type == "delta" and event.data["step"] == step:
            text = text[: event.data["offset"]] + event.data["text"]
        elif event.type == "restart" and event.data["step"] == step:
            text = ""
    return text


def _stored(stream_id: uuid.UUID) -> list[StreamEvent]:
    return [StreamEvent.from_row(row) for row in LiveStream.objects.get(pk=stream_id).events]


def test_open_needs_a_tenant() -> None:
    with pytest.raises(TenantRequired):
        stream_open(kind="run", subject_id=uuid.uuid4())


def test_events_are_numbered_from_one(stream_id: uuid.UUID) -> None:
    publisher = StreamPublisher(stream_id)
    publisher.publish("run.started", {"run_id": uuid.uuid4()})
    publisher.publish("step.started", {"step": "draft"})
    assert [(event.seq, event.type) for event in buffer_all(stream_id)] == [(1, "run.started"), (2, "step.started")]


def test_first_delta_leaves_at_once_and_the_next_ones_together(stream_id: uuid.UUID) -> None:
    publisher = StreamPublisher(stream_id)
    pieces = ["你", "好", "😀", "!", " ", "x"]
    publisher.delta("draft", pieces[0])
    assert _text(buffer_all(stream_id)) == "你"
    for piece in pieces[1:]:
        publisher.delta("draft", piece)
    publisher.publish("step.completed", {"step": "draft"})
    events = buffer_all(stream_id)
    assert _text(events) == "".join(pieces)
    assert events[-1].type == "step.completed"
    assert len(events) < len(pieces)


def test_last_delta_is_sent_while_the_model_pauses(stream_id: uuid.UUID) -> None:
    publisher = StreamPublisher(stream_id)
    publisher.delta("draft", "a")
    publisher.delta("draft", "b")
    assert wait_until(lambda: _text(buffer_all(stream_id)) == "ab", 5)


def test_deltas_of_two_steps_keep_their_own_offsets(stream_id: uuid.UUID) -> None:
    publisher = StreamPublisher(stream_id)
    for _ in range(3):
        publisher.delta("draft", "一")
        publisher.delta("title", "二")
    publisher.close({})
    assert (_text(_stored(stream_id)), _text(_stored(stream_id), "title")) == ("一一一", "二二二")


def test_close_stores_the_whole_merged_with_its_outcome(stream_id: uuid.UUID) -> None:
    with StreamPublisher(stream_id) as publisher:
        publisher.publish("run.started", {})
        for _ in range(5):
            publisher.delta("draft", "长文😀")
            time.sleep(0.035)
        publisher.close({"status": "completed", "id": uuid.UUID(int=1)})
    row = LiveStream.objects.get(pk=stream_id)
    assert (row.status, row.outcome) == ("closed", {"status": "completed", "id": str(uuid.UUID(int=1))})
    assert [event["type"] for event in row.events] == ["run.started", "delta", "end"]
    assert row.last_seq == row.events[-1]["seq"] == buffer_all(stream_id)[-1].seq
    assert _text(_stored(stream_id)) == "长文😀" * 5


def test_nothing_is_published_after_the_end(stream_id: uuid.UUID) -> None:
    publisher, late = StreamPublisher(stream_id), StreamPublisher(stream_id)
    publisher.close({})
    with pytest.raises(StreamClosed):
        publisher.publish("run.failed", {})
    late.delta("draft", "x")  # the first word is how it learns of the end
    with pytest.raises(StreamClosed):
        late.delta("draft", "x")
    with pytest.raises(StreamClosed):
        StreamPublisher(stream_id).delta("draft", "x")
    assert [event.type for event in buffer_all(stream_id)] == ["end"]


def test_closing_twice_changes_nothing(stream_id: uuid.UUID) -> None:
    StreamPublisher(stream_id).close({"n": 1})
    StreamPublisher(stream_id).close({"n": 2})
    assert LiveStream.objects.get(pk=stream_id).outcome == {"n": 1}


def test_numbering_and_text_go_on_after_a_killed_worker(stream_id: uuid.UUID) -> None:
    killed = StreamPublisher(stream_id)
    killed.publish("run.started", {})
    killed.delta("draft", "half")
    successor = StreamPublisher(stream_id)
    successor.delta("draft", " and half")
    successor.close({})
    assert [row["seq"] for row in LiveStream.objects.get(pk=stream_id).events] == [1, 3, 4]
    assert _text(_stored(stream_id)) == "half and half"


def test_restart_voids_the_text_of_the_step(stream_id: uuid.UUID) -> None:
    StreamPublisher(stream_id).delta("draft", "lost words")
    successor = StreamPublisher(stream_id, restart_step="draft")
    successor.delta("draft", "kept words")
    successor.close({})
    assert _text(_stored(stream_id)) == "kept words"


def test_end_published_but_not_stored_is_stored_by_the_next_close(stream_id: uuid.UUID) -> None:
    StreamPublisher(stream_id).close({})
    LiveStream.objects.filter(pk=stream_id).update(status="open", closed_at=None, events=[], last_seq=0)
    StreamPublisher(stream_id).close({"healed": True})
    assert [row["type"] for row in LiveStream.objects.get(pk=stream_id).events] == ["end"]


def test_an_emptied_redis_is_filled_again(stream_id: uuid.UUID) -> None:
    publisher = StreamPublisher(stream_id)
    publisher.delta("draft", "before ")
    redis.Redis.from_url(settings.REDIS_URL).delete(f"stream:{{{stream_id}}}")
    publisher.publish("step.completed", {})
    events = buffer_all(stream_id)
    assert [event.seq for event in events] == [1, 2]
    assert _text(events) == "before "


def test_two_publishers_never_give_one_number_twice(stream_id: uuid.UUID) -> None:
    publishers = [StreamPublisher(stream_id) for _ in range(4)]

    def publish(publisher: StreamPublisher) -> None:
        for number in range(50):
            publisher.publish("note", {"number": number})

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(publish, publishers))
    assert [event.seq for event in buffer_all(stream_id)] == list(range(1, 201))
    publishers[0].close({})
    assert len(LiveStream.objects.get(pk=stream_id).events) == 201


def test_nul_and_lone_surrogates_do_not_break_the_row(stream_id: uuid.UUID) -> None:
    publisher = StreamPublisher(stream_id)
    publisher.delta("draft", "a\0b\ud83d")
    publisher.publish("note", {"text": "\0"})
    publisher.close({"text": "\0"})
    assert _text(_stored(stream_id)) == "a\ufffdb\ufffd"


def test_someone_elses_stream_cannot_be_published_to(stream_id: uuid.UUID) -> None:
    stranger = user_create(email="stranger@example.com")
    with bound(Tenant(organization_id=uuid.uuid4(), user_id=stranger.pk)), pytest.raises(NotFound):
        StreamPublisher(stream_id)


def test_a_policy_hides_the_rows_of_others(stream_id: uuid.UUID) -> None:
    with bound(Tenant(organization_id=uuid.uuid4())):
        assert not LiveStream.objects.filter(pk=stream_id).exists()
        assert LiveStream.objects.filter(pk=stream_id).update(kind="stolen") == 0
    assert LiveStream.objects.get(pk=stream_id).kind == "run"


def test_closed_without_a_time_is_refused(stream_id: uuid.UUID) -> None:
    with pytest.raises(IntegrityError, match="live_stream_closed_has_time"), transaction.atomic():
        LiveStream.objects.filter(pk=stream_id).update(status="closed")


def test_unknown_status_is_refused(stream_id: uuid.UUID) -> None:
    with pytest.raises(IntegrityError, match="live_stream_"), transaction.atomic():
        LiveStream.objects.filter(pk=stream_id).update(status="ajar")
