"""Completions, embeddings, images, responses, moderations and models through the official client."""

import json
from decimal import Decimal
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from tests.factories.gateway import cost
from tests.factories.wire import (
    EMBEDDING,
    EMBEDDING_USD,
    IMAGE,
    LARGE_PICTURE_USD,
    MODERATION,
    PICTURE,
    PICTURE_USD,
    REQUEST_USD,
    TIERED,
)
from tests.support.accounts import Account
from tests.support.upstream import Behaviour
from tests.support.v1 import V1, async_sdk, charged, raw, sdk, settled_books, until_error

PROMPT = "I want an article about green tea"
PNG = b"\x89PNG\r\n\x1a\n--boundary\r\n\x00\xff"


class Tea(BaseModel):
    """What the model is asked to fill in."""

    text: str


def test_completion_whole_and_streamed(v1: V1, caller: Account) -> None:
    client = sdk(caller)
    whole = client.completions.create(model="scripted", prompt=["tea", "cup"], n=2, max_tokens=20)
    assert [choice.index for choice in whole.choices] == [0, 1, 2, 3]
    streamed = list(client.completions.create(model="scripted", prompt="tea", stream=True))
    assert "".join(chunk.choices[0].text for chunk in streamed) == whole.choices[0].text
    assert all(chunk.choices for chunk in streamed)
    assert whole.usage is not None
    first = cost(whole.usage.prompt_tokens, whole.usage.completion_tokens)
    assert charged(caller.organization_id) == first + cost(1, whole.usage.completion_tokens // 4)


def test_embeddings_in_base64_and_as_numbers(v1: V1, caller: Account) -> None:
    client = sdk(caller)
    packed = client.embeddings.create(model=EMBEDDING, input=["tea", "绿茶"])
    assert v1.upstream.served[-1].body["encoding_format"] == "base64"
    plain = client.embeddings.create(model=EMBEDDING, input=["tea", "绿茶"], encoding_format="float")
    assert [item.embedding for item in packed.data] == [item.embedding for item in plain.data]
    client.embeddings.create(model=EMBEDDING, input=[[1, 2, 3], [4]])
    tokens = sum(served.prompt_tokens for served in v1.upstream.served)
    assert charged(caller.organization_id) == EMBEDDING_USD * tokens / 1_000_000


def test_images_priced_by_tokens(v1: V1, caller: Account) -> None:
    image = sdk(caller).images.generate(model=IMAGE, prompt="A cup of tea", n=2, quality="low", size="1024x1024")
    assert len(image.data or []) == 2
    assert image.usage is not None
    now = settled_books(caller.organization_id, calls=1)
    assert now.captured == Decimal(5 * image.usage.input_tokens + 40 * 544) / 1_000_000
    assert (now.call.tokens.input, now.call.tokens.output) == (image.usage.input_tokens, 544)


def test_images_priced_by_the_image(caller: Account) -> None:
    client = sdk(caller)
    client.images.generate(model=PICTURE, prompt="A cup of tea", n=3, size="512x512")
    assert charged(caller.organization_id) == 3 * PICTURE_USD
    client.images.generate(model=PICTURE, prompt="A cup of tea", quality="hd", size="1024x1024")
    assert charged(caller.organization_id) == 3 * PICTURE_USD + LARGE_PICTURE_USD


@pytest.mark.parametrize(("wanted", "field"), [({}, "quality"), ({"quality": "hd", "size": "512x512"}, "size")])
def test_images_that_nobody_has_priced_reach_no_provider(
    v1: V1, caller: Account, wanted: dict[str, Any], field: str
) -> None:
    client = sdk(caller)
    with pytest.raises(openai.BadRequestError) as refused:
        client.images.generate(model=TIERED, prompt="A cup of tea", **wanted)
    assert (refused.value.code, refused.value.param) == ("model_not_priced", field)
    assert "hd/1024x1024" in refused.value.message
    assert v1.upstream.served == []
    client.images.generate(model=TIERED, prompt="A cup of tea", quality="hd", size="1024x1024")
    assert charged(caller.organization_id) == LARGE_PICTURE_USD


def test_images_are_edited_with_files_that_arrive_whole(v1: V1, caller: Account) -> None:
    edited = sdk(caller).images.edit(model=PICTURE, prompt="More tea", image=[PNG, PNG[::-1]], n=2)
    assert len(edited.data or []) == 2
    served = v1.upstream.served[-1]
    assert (served.body["prompt"], served.body["image[]"]) == ("More tea", [PNG, PNG[::-1]])
    assert charged(caller.organization_id) == 2 * PICTURE_USD


def test_stream_of_images(v1: V1, caller: Account) -> None:
    stream: Any = sdk(caller).images.generate(
        model=IMAGE, prompt="A cup of tea", stream=True, partial_images=1, quality="low"
    )
    assert [event.type for event in stream] == ["image_generation.partial_image", "image_generation.completed"]
    assert settled_books(caller.organization_id, calls=1).call.tokens.output == 272


def test_response_whole_and_streamed(v1: V1, caller: Account) -> None:
    client = sdk(caller)
    whole = client.responses.create(model="scripted", input=PROMPT, store=False)
    assert v1.upstream.served[-1].body == {"model": "scripted", "input": PROMPT, "store": False}
    with client.responses.stream(model="scripted", input=PROMPT) as stream:
        numbers = [event.sequence_number for event in stream]
        final = stream.get_final_response()
    assert numbers == list(range(len(numbers)))
    assert final.output_text == whole.output_text != ""
    assert whole.usage is not None
    expected = cost(whole.usage.input_tokens, whole.usage.output_tokens)
    assert charged(caller.organization_id) == 2 * expected


async def test_response_of_the_asynchronous_client(caller: Account) -> None:
    async with async_sdk(caller) as client:
        stream = await client.responses.create(model="scripted", input=PROMPT, stream=True)
        kinds = [event.type async for event in stream]
    assert (kinds[0], kinds[-1]) == ("response.created", "response.completed")


def test_response_is_parsed_by_the_client(caller: Account) -> None:
    parsed = sdk(caller).responses.parse(model="scripted", input=PROMPT, text_format=Tea)
    assert parsed.output_parsed is not None
    assert parsed.output_parsed.text.startswith("# Green tea")


def test_response_that_ran_out_of_tokens(caller: Account) -> None:
    answer = sdk(caller).responses.create(model="scripted", input=PROMPT, max_output_tokens=16)
    assert answer.status == "incomplete"
    assert settled_books(caller.organization_id, calls=1).call.ending == "completed"


@pytest.mark.parametrize("model", ["scripted--error", "scripted--cut"])
def test_failure_in_mid_response_is_raised_by_the_client(caller: Account, model: str) -> None:
    events, _error = until_error(sdk(caller).responses.create(model=model, input=PROMPT, stream=True))
    kinds = [event.type for event in events]
    assert kinds.count("response.output_text.delta") >= 3
    assert settled_books(caller.organization_id, calls=1).call.ending == "upstream_cut"


def test_our_own_error_event_goes_on_counting(caller: Account) -> None:
    with raw(caller) as client:
        body = {"model": "scripted--cut", "input": PROMPT, "stream": True}
        answer = client.post("/responses", json=body)
    events = [json.loads(line[6:]) for line in answer.text.split("\n") if line.startswith("data: ")]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert events[-1]["type"] == "error"
    assert events[-1]["message"]


def test_stored_response_is_continued(v1: V1, caller: Account) -> None:
    client = sdk(caller)
    first = client.responses.create(model="scripted", input=PROMPT)
    client.responses.create(model="scripted", input="And black tea?", previous_response_id=first.id)
    assert v1.upstream.served[-1].body["previous_response_id"] == first.id


@pytest.mark.parametrize(
    ("fields", "param"),
    [({"background": True}, "background"), ({"tools": [{"type": "web_search"}]}, "tools[0].type")],
)
def test_what_has_no_price_is_refused(v1: V1, caller: Account, fields: Any, param: str) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        sdk(caller).responses.create(model="scripted", input=PROMPT, **fields)
    assert refused.value.param == param
    assert v1.upstream.served == []


def test_path_priced_by_the_request(v1: V1, caller: Account) -> None:
    answer = sdk(caller).moderations.create(model=MODERATION, input="tea")
    assert answer.results[0].flagged is False
    assert charged(caller.organization_id) == REQUEST_USD


def test_model_of_another_kind_is_refused(v1: V1, caller: Account) -> None:
    with pytest.raises(openai.NotFoundError):
        sdk(caller).embeddings.create(model="scripted", input="tea")
    with pytest.raises(openai.NotFoundError):
        sdk(caller).images.generate(model=EMBEDDING, prompt="tea")
    assert v1.upstream.served == []


def test_failures_of_other_paths_are_retried_and_free(v1: V1, caller: Account) -> None:
    v1.upstream.behave(Behaviour(status=500), Behaviour(reset=True), Behaviour(status=429, retry_after=0))
    sdk(caller).embeddings.create(model=EMBEDDING, input="tea")
    now = settled_books(caller.organization_id, calls=1)
    assert [attempt.http_status for attempt in now.attempts] == [500, None, 429, 200]
    assert now.captured == EMBEDDING_USD * 1 / 1_000_000


def test_models_are_listed_and_shown(caller: Account) -> None:
    client = sdk(caller)
    listed = {model.id: model for model in client.models.list()}
    assert {"scripted", EMBEDDING, IMAGE, PICTURE, MODERATION} <= set(listed)
    shown = client.models.retrieve(EMBEDDING)
    assert shown == listed[EMBEDDING]
    assert (shown.object, shown.owned_by, type(shown.created)) == ("model", "scripted", int)
    with pytest.raises(openai.NotFoundError) as refused:
        client.models.retrieve("no-such-model")
    assert refused.value.code == "model_not_found"
