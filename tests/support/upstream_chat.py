"""How the scripted upstream answers chat and completions."""

from collections.abc import Iterator
from typing import Any

from tests.support.upstream_calls import Call, event
from tests.support.upstream_script import default_text, input_tokens


class ChatCall(Call):
    """``/v1/chat/completions``."""

    def _text(self) -> str:
        as_json = self.served.body.get("response_format", {}).get("type", "text") != "text"
        return default_text(self.served.messages, as_json=as_json)

    def _choices(self) -> range:
        return range(self.served.body.get("n") or 1)

    def _whole(self) -> dict[str, Any]:
        self.served.completion_tokens = max(len(self.pieces), 5 * len(self.behaviour.tool_calls)) * len(self._choices())
        self.served.texts = list(self.pieces)
        message: dict[str, Any] = {"role": "assistant", "content": "".join(self.pieces)}
        if self.behaviour.tool_calls:
            message |= {"content": None, "tool_calls": list(self.behaviour.tool_calls)}
        if self.behaviour.thoughts:
            message["reasoning_content"] = self.behaviour.thoughts
        same = {"message": message, "logprobs": None, "finish_reason": self.finish}
        return self._frame("chat.completion", choices=[{"index": i, **same} for i in self._choices()], **self._usage())

    def _begin(self) -> list[bytes]:
        thoughts = self.behaviour.thoughts
        events = [{"role": "assistant", "content": ""}, *([{"reasoning_content": thoughts}] if thoughts else [])]
        return [self._chunk(delta) for delta in events]

    def _piece(self, text: str) -> list[bytes]:
        self.served.completion_tokens += len(self._choices()) - 1
        return [self._chunk({"content": text}, index=index) for index in self._choices()]

    def _rest(self) -> Iterator[bytes]:
        for index, call in enumerate(self.behaviour.tool_calls):
            self.served.completion_tokens += 5
            yield self._chunk({"tool_calls": [{"index": index, **call}]})
        for index in self._choices():
            yield self._chunk({}, finish=None if self.finish == "none" else self.finish, index=index)

    def _end(self) -> list[bytes]:
        events = [b"data: [DONE]\n\n"]
        if self.served.body.get("stream_options", {}).get("include_usage") and not self.behaviour.omit_usage:
            events.insert(0, event(self._frame("chat.completion.chunk", choices=[], **self._usage())))
        return events

    def _frame(self, kind: str, **fields: Any) -> dict[str, Any]:
        return {"id": self.served.request_id, "object": kind, "created": 0, "model": self.served.model, **fields}

    def _chunk(self, delta: dict[str, Any], finish: str | None = None, index: int = 0) -> bytes:
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
        return event(self._frame("chat.completion.chunk", choices=[choice], usage=None))


class CompletionCall(ChatCall):
    """``/v1/completions``."""

    def _text(self) -> str:
        return "tea is drunk warm, and slowly."

    def _prompt_tokens(self) -> int:
        return input_tokens(self.served.body.get("prompt"))

    def _choices(self) -> range:
        prompt = self.served.body.get("prompt")
        prompts = len(prompt) if isinstance(prompt, list) and not isinstance(prompt[0], int) else 1
        return range((self.served.body.get("n") or 1) * prompts)

    def _whole(self) -> dict[str, Any]:
        self.served.completion_tokens = len(self.pieces) * len(self._choices())
        self.served.texts = list(self.pieces)
        same = {"text": "".join(self.pieces), "logprobs": None, "finish_reason": self.finish}
        return self._frame("text_completion", choices=[{"index": i, **same} for i in self._choices()], **self._usage())

    def _begin(self) -> list[bytes]:
        return []

    def _chunk(self, delta: dict[str, Any], finish: str | None = None, index: int = 0) -> bytes:
        choice = {"index": index, "text": delta.get("content", ""), "logprobs": None, "finish_reason": finish}
        return event(self._frame("text_completion", choices=[choice]))
