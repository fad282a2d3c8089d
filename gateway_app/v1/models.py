"""GET /v1/models and /v1/models/{id}: what the caller's key may call, in OpenAI's shape."""

import json
from typing import Any

from accounts_app.contracts import KeyCard
from accounts_app.exceptions import AddressRefused, DeepSpaceError, ScopeRefused
from accounts_app.services.addresses import address_admitted
from gateway_app.exceptions import ModelNotFound
from gateway_app.services.snapshot import ModelSnap, Snapshot
from gateway_app.v1.answers import JSON, Answer
from gateway_app.v1.calls import caller_address
from gateway_app.v1.cards import Standing
from gateway_app.v1.requests import Request

_SCOPE = "inference"


async def models_list(request: Request, answer: Answer) -> None:
    """Answer with all models that the key may call."""
    standing = await _standing(request)
    card = standing.caller.card
    data = [_model(snap) for snap in standing.snapshot.models.values() if card.allows_model(snap.key)]
    await _send(answer, {"object": "list", "data": data})


async def model_show(request: Request, answer: Answer, key: str) -> None:
    """Answer with one of them; raises ModelNotFound."""
    standing = await _standing(request)
    await _send(answer, _model(_allowed(standing.snapshot, standing.caller.card, key)))


async def _standing(request: Request) -> Standing:
    standing = Standing(request.secret())
    await standing.read()
    try:
        _admit(request, standing.caller.card)
    except DeepSpaceError:
        if not standing.may_be_old:
            raise
        await standing.renew()
        _admit(request, standing.caller.card)
    return standing


def _admit(request: Request, card: KeyCard) -> None:
    if _SCOPE not in card.scopes:
        raise ScopeRefused
    if not address_admitted(card.ip_rules, caller_address(request)):
        raise AddressRefused


def _allowed(snapshot: Snapshot, card: KeyCard, key: str) -> ModelSnap:
    found = snapshot.model(key)
    if not card.allows_model(key):
        raise ModelNotFound(f"This API key may not use the model {key}.")
    return found


def _model(snap: ModelSnap) -> dict[str, Any]:
    return {"id": snap.key, "object": "model", "created": snap.created, "owned_by": snap.owned_by}


async def _send(answer: Answer, content: dict[str, Any]) -> None:
    await answer.whole(200, json.dumps(content).encode(), [JSON])
