"""The step handlers of the default workflows; importing a module registers its own."""

from workflows_app.handlers import apply, evaluate, finish, linter, rewrite, saving

__all__ = ["apply", "evaluate", "finish", "linter", "rewrite", "saving"]
