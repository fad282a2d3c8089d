from typing import Any

from rest_framework.renderers import BrowsableAPIRenderer


class BrowsableRenderer(BrowsableAPIRenderer):
    """DRF's pages under our content security policy, which knows no styles inside a page.

    Without the button of the filters (a style attribute): filters stand in the address, and the schema pages say which
    there are. Without the highlighter's style element: a script colours the code.
    """

    def get_filter_form(self, data: Any, view: Any, request: Any) -> None:
        return None

    def get_context(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context(*args, **kwargs)
        return context | {"code_style": ""}
