"""/v1: the OpenAI-compatible gateway, a raw ASGI application in front of Django; see docs/adr/0010."""
