"""The API's description for people: Swagger UI and ReDoc, from files of our own."""

from functools import lru_cache
from typing import Any

from csp.constants import SELF
from csp.decorators import csp_update
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path
from django.utils.translation import get_language
from django.views.decorators.http import require_safe
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiJsonRenderer, OpenApiYamlRenderer
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView
from rest_framework.request import Request
from rest_framework.response import Response


class SchemaView(SpectacularAPIView):
    """The OpenAPI document of the REST API and of /v1, as JSON or YAML; the same for everybody."""

    renderer_classes = [OpenApiJsonRenderer, OpenApiYamlRenderer]

    @extend_schema(exclude=True)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return Response(_document(get_language() or settings.LANGUAGE_CODE))


@lru_cache(maxsize=4)
def _document(language: str) -> dict[str, Any]:
    """Written once for a process and language: it takes seconds, and anybody may ask for it."""
    generator: Any = SchemaGenerator
    document: dict[str, Any] = generator().get_schema(request=None, public=True)
    return document


@require_safe
def swagger(request: HttpRequest) -> HttpResponse:
    """Swagger UI. It styles by the DOM's own interface, so the pages' strict policy holds here as it is."""
    return render(request, "accounts_app/api/swagger.html", {"page": "docs"})


# ReDoc searches in a worker that it makes of a blob, and writes two style elements: an empty one, which it then fills
# rule by rule through the DOM, and one of constant text. No other text becomes a style, and no attribute does.
REDOC_POLICY: dict[str, Any] = {
    "style-src": [
        SELF,
        "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='",
        "'sha256-QMIg+bpjm3JdElJ388KYke01izlUW0UoNOeKjpMxdgc='",
    ],
    "worker-src": [SELF, "blob:"],
}


@require_safe
@csp_update(REDOC_POLICY)
def redoc(request: HttpRequest) -> HttpResponse:
    """ReDoc: the same document to read."""
    return render(request, "accounts_app/api/redoc.html", {"page": "redoc"})


urlpatterns = [
    path("schema/", SchemaView.as_view(), name="schema"),
    path("docs/", swagger, name="api-docs"),
    path("redoc/", redoc, name="api-redoc"),
]
