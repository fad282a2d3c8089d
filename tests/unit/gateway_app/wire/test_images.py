"""Images: JSON and forms; priced by tokens, or by the image."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts_app.exceptions import InvalidInput
from billing_app.contracts import TokenBuckets
from gateway_app.wire import WIRES
from gateway_app.wire.forms import form
from gateway_app.wire.images import output_tokens
from tests.unit.gateway_app.wire.helpers import event, field_at_fault, raw, reading, upstream, wanted

PATH = "images/generations"
EDITS = WIRES["images/edits"]
FORM = "multipart/form-data; boundary=Xx1"


def _form(*fields: tuple[str, bytes], boundary: str = "Xx1") -> bytes:
    lines = b""
    for name, value in fields:
        disposition = f'form-data; name="{name}"' + ('; filename="a.png"' if "image" in name else "")
        lines += f"--{boundary}\r\nContent-Disposition: {disposition}\r\n\r\n".encode() + value + b"\r\n"
    return lines + f"--{boundary}--\r\n".encode()


EDIT = (("model", b"m"), ("prompt", b"A cat"), ("image[]", b"\x89PNG\r\n\x00"), ("image[]", b"two"), ("n", b"2"))


@pytest.mark.parametrize(
    ("values", "images", "tier"),
    [
        ({}, 1, "auto/auto"),
        ({"n": 3, "quality": "low", "size": "1024x1536"}, 3, "low/1024x1536"),
        ({"model": "dall-e-3"}, 1, "standard/1024x1024"),
        ({"model": "dall-e-3", "quality": "hd", "size": "1792x1024"}, 1, "hd/1792x1024"),
    ],
)
def test_request_is_read(values: dict[str, Any], images: int, tier: str) -> None:
    found = wanted(PATH, prompt="A cat", **values)
    assert (found.images, found.image_tier, found.is_stream) == (images, tier, False)
    assert upstream(PATH, prompt="A cat", **values) == {"prompt": "A cat", **values, "model": "n"}


@pytest.mark.parametrize(
    ("quality", "size", "expected"),
    [
        ("low", "1024x1024", 272),
        ("medium", "1024x1536", 1_584),
        ("high", "1536x1024", 6_240),
        ("auto", "auto", 6_240),
        ("high", "3840x2160", 32_907),
        ("high", "99999x99999", 32_907),
    ],
)
def test_tokens_of_an_image_are_as_published(quality: str, size: str, expected: int) -> None:
    assert output_tokens(quality, size) == expected


def test_partial_images_are_held_too() -> None:
    found = wanted(PATH, prompt="x", n=2, quality="low", size="1024x1024", stream=True, partial_images=3)
    assert found.max_output == 2 * (272 + 300)


def test_images_that_report_tokens() -> None:
    found = reading(PATH, prompt="A cat", n=2)
    found.body(raw({"data": [{"b64_json": "x"}] * 2, "usage": {"input_tokens": 9, "output_tokens": 544}}))
    assert (found.images, found.reported) == (2, TokenBuckets(input=9, output=544))


def test_images_that_report_nothing_are_counted() -> None:
    found = reading(PATH, prompt="A cat", model="dall-e-3", n=2)
    found.body(raw({"created": 1, "data": [{"url": "https://x"}]}))
    assert (found.images, found.reported, found.has_content) == (1, None, True)
    assert found.delivered == TokenBuckets(input=2, output=4_160)


def test_no_image_is_nothing() -> None:
    found = reading(PATH, prompt="A cat")
    found.body(raw({"data": []}))
    assert (found.has_content, found.delivered) == (False, TokenBuckets())


def test_stream_of_images_ends_with_the_last_one() -> None:
    found = reading(PATH, prompt="A cat", stream=True, n=2)
    partial = event({"type": "image_generation.partial_image", "b64_json": "x"}, "image_generation.partial_image")
    usage = {"input_tokens": 5, "output_tokens": 100, "total_tokens": 105}
    done = event({"type": "image_generation.completed", "b64_json": "x", "usage": usage}, "image_generation.completed")
    assert found.feed(partial + done) == partial + done
    assert (found.is_done, found.has_output) == (False, True)
    assert found.feed(done) == done
    assert (found.is_done, found.images, found.done_event()) == (True, 2, b"")
    assert found.reported == TokenBuckets(input=10, output=200)


def test_form_is_read() -> None:
    found = EDITS.read(_form(*EDIT), FORM)
    assert (found.model, found.images, found.image_tier) == ("m", 2, "auto/auto")
    assert found.input_bound > 2 * 7_000


def test_only_the_model_of_a_form_changes() -> None:
    body = _form(*EDIT)
    found = EDITS.read(body, FORM)
    assert EDITS.upstream_body(body, found, model="m") == (body, FORM)
    assert EDITS.upstream_body(body, found, model="other") == (_form(("model", b"other"), *EDIT[1:]), FORM)


def test_same_form_has_the_same_hash_with_another_boundary() -> None:
    again = EDITS.read(_form(*EDIT, boundary="other"), 'multipart/form-data; boundary="other"')
    assert again.body_hash == EDITS.read(_form(*EDIT), FORM).body_hash
    assert again.body_hash != EDITS.read(_form(*EDIT[:-1], ("n", b"3")), FORM).body_hash


@given(st.lists(st.tuples(st.sampled_from(["a", "image", "model"]), st.binary(max_size=30)), max_size=4))
def test_any_file_survives(fields: list[tuple[str, bytes]]) -> None:
    fields = [(f"image{number}", value.replace(b"--Xx1", b"")) for number, (_name, value) in enumerate(fields)]
    body = _form(*fields, ("model", b"m"))
    found = form(body, FORM)
    assert [body[part.start : part.end] for part in found.parts] == [value for _name, value in fields] + [b"m"]
    assert found.with_value(body, "model", "other") == _form(*fields, ("model", b"other"))


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (_form(*EDIT), "multipart/form-data"),
        (_form(*EDIT), "multipart/form-data; boundary=other"),
        (_form(*EDIT)[:-9], FORM),
        (b"", FORM),
        (_form(*EDIT).replace(b"\r\n\r\nm\r\n", b"\r\nm\r\n"), FORM),
        (_form(("model", b"m"), ("model", b"cheaper"), ("prompt", b"x")), FORM),
        (_form(("model", b"m"), ("prompt", b"\xff")), FORM),
        (_form(("prompt", b"x")), FORM),
        (_form(("model", b"m"), ("n", b"two")), FORM),
        (_form(("model", b"m"), ("n", b"11")), FORM),
        (_form(("model", b"m"), ("stream", b"1")), FORM),
        (_form(("model", b"m")).replace(b'name="model"', b'name="model"; name="prompt"'), FORM),
    ],
)
def test_nonsense_forms_are_refused(body: bytes, content_type: str) -> None:
    with pytest.raises(InvalidInput):
        EDITS.read(body, content_type)


@pytest.mark.parametrize(
    ("values", "field"),
    [({"n": 0}, "n"), ({"n": 11}, "n"), ({"prompt": 1}, "prompt"), ({"size": []}, "size"), ({"images": "x"}, "images")],
)
def test_nonsense_is_refused_with_its_field(values: dict[str, Any], field: str) -> None:
    assert field_at_fault(PATH, **values) == field
