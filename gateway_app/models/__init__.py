from gateway_app.models.attempt import AttemptStatus, GatewayAttempt
from gateway_app.models.call import CallStatus, EndingChoices, GatewayCall
from gateway_app.models.live_stream import LiveStream, LiveStreamStatus
from gateway_app.models.model_entry import ModelEntry, ModelKind
from gateway_app.models.provider import Provider, ProviderKind

__all__ = [
    "AttemptStatus",
    "CallStatus",
    "EndingChoices",
    "GatewayAttempt",
    "GatewayCall",
    "LiveStream",
    "LiveStreamStatus",
    "ModelEntry",
    "ModelKind",
    "Provider",
    "ProviderKind",
]
