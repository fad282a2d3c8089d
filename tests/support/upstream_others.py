"""How the scripted upstream answers responses, embeddings, images, moderations and speech."""

import base64
import hashlib
import struct
from collections.abc import Iterator
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any, ClassVar

from tests.support.upstream_calls import Call, event
from tests.support.upstream_chat import ChatCall, CompletionCall
from tests.support.upstream_script import default_text, input_tokens

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
_IMAGE_TOKENS = {"low": 272, "medium": 1056, "high": 4160}


class ResponsesCall(Call):
    """``/v1/responses``."""

    _names: ClassVar[tuple[str, str]] = ("input_tokens", "output_tokens")

    def _items(self) -> list[dict[str, Any]]:
        given = self.served.body.get("input") or []
        return [{"role": "user", "content": given}] if isinstance(given, str) else given

    def _text(self) -> str:
        as_json = self.served.body.get("text", {}).get("format", {}).get("type", "text") != "text"
        return default_text(self._items(), as_json=as_json)

    def _prompt_tokens(self) -> int:
        return input_tokens(self._items())

    def _limit(self) -> int | None:
        return self.served.body.get("max_output_tokens")

    def _usage(self) -> dict[str, Any]:
        told = super()._usage()
        if told:
            details = {"input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0}}
            details |= {"output_tokens_details": {"reasoning_tokens": 0}}
            assert self.served.usage is not None
            self.served.usage = details | self.served.usage
        return {"usage": self.served.usage}

    def _whole(self) -> dict[str, Any]:
        self.served.completion_tokens = len(self.pieces)
        self.served.texts = list(self.pieces)
        return self._response(self._state())

    def _state(self) -> str:
        return "incomplete" if self.finish == "length" else "completed"

    def _response(self, status: str) -> dict[str, Any]:
        is_over = status in ("completed", "incomplete")
        body = self.served.body
        return {
            "id": self.served.request_id.replace("chatcmpl-", "resp_"),
            "object": "response",
            "created_at": 0,
            "status": status,
            "error": None,
            "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
            "instructions": body.get("instructions"),
            "max_output_tokens": body.get("max_output_tokens"),
            "metadata": body.get("metadata") or {},
            "model": self.served.model,
            "output": [self._message("completed")] if is_over else [],
            "parallel_tool_calls": True,
            "previous_response_id": body.get("previous_response_id"),
            "store": body.get("store", True),
            "temperature": 1.0,
            "tool_choice": "auto",
            "tools": body.get("tools") or [],
            "top_p": 1.0,
            **(self._usage() if is_over else {"usage": None}),
        }

    def _message(self, status: str) -> dict[str, Any]:
        parts = [self._part("".join(self.pieces))] if status == "completed" else []
        return {"type": "message", "id": "msg_1", "status": status, "role": "assistant", "content": parts}

    def _part(self, text: str) -> dict[str, Any]:
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}

    def _begin(self) -> list[bytes]:
        self._sequence = -1
        return [
            self._typed("response.created", response=self._response("in_progress")),
            self._typed("response.in_progress", response=self._response("in_progress")),
            self._typed("response.output_item.added", output_index=0, item=self._message("in_progress")),
            self._typed("response.content_part.added", **self._place(), part=self._part("")),
        ]

    def _piece(self, text: str) -> list[bytes]:
        return [self._typed("response.output_text.delta", **self._place(), delta=text, logprobs=[])]

    def _rest(self) -> Iterator[bytes]:
        text = "".join(self.pieces)
        yield self._typed("response.output_text.done", **self._place(), text=text, logprobs=[])
        yield self._typed("response.content_part.done", **self._place(), part=self._part(text))
        yield self._typed("response.output_item.done", output_index=0, item=self._message("completed"))

    def _end(self) -> list[bytes]:
        return [self._typed(f"response.{self._state()}", response=self._response(self._state()))]

    def _told_error(self) -> bytes:
        return self._typed("error", code="server_error", message="Scripted error.", param=None)

    def _place(self) -> dict[str, Any]:
        return {"item_id": "msg_1", "output_index": 0, "content_index": 0}

    def _typed(self, kind: str, **fields: Any) -> bytes:
        self._sequence += 1
        return event({"type": kind, "sequence_number": self._sequence, **fields}, kind)


class EmbeddingsCall(Call):
    """``/v1/embeddings``: eight numbers made of a hash."""

    def _prompt_tokens(self) -> int:
        return input_tokens(self.served.body["input"])

    def _whole(self) -> dict[str, Any]:
        given = self.served.body["input"]
        items = [given] if isinstance(given, str) or isinstance(given[0], int) else given
        data = [{"object": "embedding", "index": i, "embedding": self._vector(item)} for i, item in enumerate(items)]
        usage = self._usage().get("usage")
        told = {"usage": {k: v for k, v in usage.items() if k != "completion_tokens"}} if usage else {}
        return {"object": "list", "data": data, "model": self.served.model, **told}

    def _vector(self, item: object) -> Any:
        numbers = [byte / 256 for byte in hashlib.sha256(str(item).encode()).digest()[:8]]
        if self.served.body.get("encoding_format") == "base64":
            return base64.b64encode(struct.pack("<8f", *numbers)).decode()
        return numbers


class ImagesCall(Call):
    """``/v1/images/generations`` and ``/v1/images/edits``. Models named dall-e report no usage."""

    _names: ClassVar[tuple[str, str]] = ("input_tokens", "output_tokens")

    def _prompt_tokens(self) -> int:
        return input_tokens(self.served.body.get("prompt") or "")

    def _whole(self) -> dict[str, Any]:
        body = self.served.body
        self.served.images = 0 if self.behaviour.text == "" else int(body.get("n") or 1)
        self.served.completion_tokens = self.served.images * _IMAGE_TOKENS.get(str(body.get("quality")), 1056)
        data = [{"b64_json": PIXEL}] * self.served.images
        return {"created": 0, "data": data, **({} if "dall-e" in self.served.model else self._usage())}

    def _usage(self) -> dict[str, Any]:
        told = super()._usage()
        if told:
            details = {"text_tokens": self.served.prompt_tokens, "image_tokens": 0}
            told["usage"] = {"input_tokens_details": details, **told["usage"]}
        return told

    def _begin(self) -> list[bytes]:
        return []

    def _piece(self, text: str) -> list[bytes]:
        return []

    def _rest(self) -> Iterator[bytes]:
        yield event({"type": "image_generation.partial_image", "b64_json": PIXEL, "partial_image_index": 0})

    def _end(self) -> list[bytes]:
        told = self._whole()
        kind = "image_generation.completed"
        fields = {"b64_json": PIXEL, "created_at": 0, "output_format": "png", "quality": "low", "size": "1024x1024"}
        return [event({"type": kind, **fields, "background": "opaque", "usage": told.get("usage")}, kind)]


class ModerationsCall(Call):
    """``/v1/moderations``: nothing is ever flagged."""

    def _prompt_tokens(self) -> int:
        return 0

    def _whole(self) -> dict[str, Any]:
        result = {"flagged": False, "categories": {}, "category_scores": {}, "category_applied_input_types": {}}
        return {"id": "modr-1", "model": self.served.model, "results": [result]}


CALLS: dict[str, type[Call]] = {
    "chat/completions": ChatCall,
    "completions": CompletionCall,
    "responses": ResponsesCall,
    "embeddings": EmbeddingsCall,
    "images/generations": ImagesCall,
    "images/edits": ImagesCall,
    "moderations": ModerationsCall,
}


def form_values(body: bytes, content_type: str) -> dict[str, Any]:
    """Return the fields of a form; of files their bytes, as a list."""
    head = f"content-type: {content_type}\r\n\r\n".encode()
    values: dict[str, Any] = {}
    for part in BytesParser(policy=HTTP).parsebytes(head + body).iter_parts():
        name = str(part.get_param("name", header="content-disposition"))
        content: Any = part.get_payload(decode=True)
        if part.get_filename():
            values.setdefault(name, []).append(content)
        else:
            values[name] = content.decode()
    return values
