from gateway_app.admin import calls, catalogue, limits, providers, streams

__all__ = ["calls", "catalogue", "limits", "providers", "streams"]
