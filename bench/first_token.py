"""The first streamed token at the browser's socket, against the model server's own first token."""

import http.client
import json
import time
from collections.abc import Iterator
from typing import Any

from websockets.sync.client import connect
from websockets.typing import Origin

from bench.report import Row, Timing
from bench.system import System

REPEATS = 12
TEXT = "Why is the sky blue at noon and red at dusk?"


def measure(system: System) -> Iterator[Row]:
    """Yield the time from pressing Advance to the first word, and the part of it after the model had it."""
    direct = Timing(tuple(_direct(system) for _ in range(REPEATS)))
    ours = Timing(tuple(_ours(system) for _ in range(REPEATS)))
    note = "from POST advance: run started, step claimed, hold committed, call, stream, websocket"
    yield Row("first token at the browser's socket, p50", ours.p50_ms, direct.p50_ms, "ms", note)
    yield Row("first token at the browser's socket, p95", ours.p95_ms, direct.p95_ms, "ms", note)


def _direct(system: System) -> float:
    connection = http.client.HTTPConnection("127.0.0.1", system.upstream_port, timeout=30)
    body = {"model": "gpt-4o-mini", "stream": True, "messages": [{"role": "user", "content": TEXT}]}
    began = time.perf_counter()
    connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
    response = connection.getresponse()
    while line := response.readline():
        if line.startswith(b"data: {") and _content(json.loads(line[6:])):
            connection.close()
            return time.perf_counter() - began
    raise RuntimeError("The model server sent no token.")


def _ours(system: System) -> float:
    task = _post(system, "/api/tasks", {"inputText": TEXT, "preferredWorkspace": "general"}, 201)
    began = time.perf_counter()
    path = f"/api/tasks/{task['taskId']}/advance"
    run = _post(system, path, {"stage": task["nextStage"], "action": "generate"}, 202)
    url = f"ws://127.0.0.1:{system.port}/ws/streams/{run['streamId']}/?after=0"
    origin = Origin(f"http://127.0.0.1:{system.port}")
    with connect(url, additional_headers=system.authorization, origin=origin) as socket:
        for frame in socket:
            event = json.loads(frame)
            if event["type"] == "delta":
                return time.perf_counter() - began
            if event["type"] in {"run.failed", "end"}:
                raise RuntimeError(f"No token came: {event}")
    raise RuntimeError("The socket closed before the first token.")


def _content(chunk: dict[str, Any]) -> bool:
    return any(choice["delta"].get("content") for choice in chunk.get("choices", []))


def _post(system: System, path: str, body: dict[str, Any], expect: int) -> dict[str, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", system.port, timeout=30)
    connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json", **system.authorization})
    response = connection.getresponse()
    answer: dict[str, Any] = json.loads(response.read())
    connection.close()
    if response.status != expect:
        raise RuntimeError(f"{path}: {response.status} {answer}")
    return answer
