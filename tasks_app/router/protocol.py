from typing import Protocol

from tasks_app.contracts import Route


class Router(Protocol):
    """Reads what a person wants. Must be quick (it runs within the request) and must not call a model that costs."""

    def route(self, input_text: str, *, preferred_workspace: str = "") -> Route:
        """Return where ``input_text`` belongs; ``preferred_workspace`` wins over what the text says."""
        ...
