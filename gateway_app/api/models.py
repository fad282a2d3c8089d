from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from gateway_app import selectors
from gateway_app.api.serializers import CatalogueSerializer


class ModelsView(APIView):
    """The catalogue: which models there are, which can be called, what they cost."""

    @extend_schema(operation_id="models_list", responses=CatalogueSerializer)
    def get(self, request: Request) -> Response:
        return Response(CatalogueSerializer(selectors.catalogue()).data)
