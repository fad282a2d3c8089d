from gateway_app.models.live_stream import LiveStream, LiveStreamStatus

__all__ = ["LiveStream", "LiveStreamStatus"]
