"""Filters of the request log. None of them reads the log to find out what it could be filtered by."""

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from gateway_app.models import ModelEntry, Provider

Choices = Iterable[tuple[str, Any]]


class OfModel(admin.SimpleListFilter):
    """The catalogue's models."""

    title = _("model")
    parameter_name = "model"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Choices:
        return [(key, key) for key in ModelEntry.objects.order_by("key").values_list("key", flat=True)]

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Any]") -> "QuerySet[Any]":
        return queryset.filter(model=self.value()) if self.value() else queryset


class OfProvider(admin.SimpleListFilter):
    """The catalogue's providers."""

    title = _("provider")
    parameter_name = "provider"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Choices:
        return list(Provider.objects.order_by("name").values_list("key", "name"))

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Any]") -> "QuerySet[Any]":
        return queryset.filter(provider=self.value()) if self.value() else queryset
