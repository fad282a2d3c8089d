"""The linter: the same findings for the same document, every time, without asking a model."""

from prompts_app.services.linter.engine import lint

__all__ = ["lint"]
