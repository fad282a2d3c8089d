"""The reference for `POST /api/tasks`: a bare Django view with one INSERT, on the same server and pool settings."""

import json
import os

import environ
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.db import connection
from django.http import HttpRequest, JsonResponse
from django.urls import path

settings.configure(
    SECRET_KEY="bench",  # noqa: S106
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    DATABASES={
        "default": environ.Env.db_url_config(os.environ["BENCH_DATABASE_URL"])
        | {"OPTIONS": {"pool": {"min_size": 1, "max_size": 16}}}
    },
)


def create(request: HttpRequest) -> JsonResponse:
    text = json.loads(request.body)["inputText"]
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO bench_reference (body) VALUES (%s) RETURNING id", [text])
        row = cursor.fetchone()
    return JsonResponse({"taskId": row[0]}, status=201)


urlpatterns = [path("api/tasks", create)]
application = get_asgi_application()
