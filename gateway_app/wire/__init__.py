"""What travels between callers, this gateway and providers: OpenAI's bodies and streams, read without being changed.

Pure: bytes in, bytes and figures out; no network, no database. ``wire_of`` names the wire of a path under /v1.
"""

from gateway_app.wire.base import Reading, Wanted, Wire
from gateway_app.wire.chat import ChatWire
from gateway_app.wire.completions import CompletionsWire
from gateway_app.wire.embeddings import EmbeddingsWire
from gateway_app.wire.images import ImagesWire
from gateway_app.wire.priced import PricedWire
from gateway_app.wire.responses import ResponsesWire

__all__ = ["WIRES", "Reading", "Wanted", "Wire", "wire_of"]

_ALL: tuple[Wire, ...] = (
    ChatWire("chat/completions"),
    CompletionsWire("completions"),
    EmbeddingsWire("embeddings"),
    ImagesWire("images/generations"),
    ImagesWire("images/edits"),
    ResponsesWire("responses"),
)
WIRES: dict[str, Wire] = {wire.path: wire for wire in _ALL}


def wire_of(path: str) -> Wire:
    """Return the wire of ``path`` (``chat/completions`` …); any other path is one that is priced per request."""
    return WIRES.get(path) or PricedWire(path)
