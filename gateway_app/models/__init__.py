from gateway_app.models.attempt import AttemptStatus, GatewayAttempt
from gateway_app.models.call import CallStatus, EndingChoices, GatewayCall
from gateway_app.models.live_stream import LiveStream, LiveStreamStatus
from gateway_app.models.model_entry import ModelEntry, ModelKind
from gateway_app.models.operation import GatewayAnswer, GatewayOperation
from gateway_app.models.provider import Provider, ProviderKind
from gateway_app.models.rate_limit import LimitScope, RateLimit
from gateway_app.models.route import ModelRoute

__all__ = [
    "AttemptStatus",
    "CallStatus",
    "EndingChoices",
    "GatewayAnswer",
    "GatewayAttempt",
    "GatewayCall",
    "GatewayOperation",
    "LimitScope",
    "LiveStream",
    "LiveStreamStatus",
    "ModelEntry",
    "ModelKind",
    "ModelRoute",
    "Provider",
    "ProviderKind",
    "RateLimit",
]
