"""Operators read the admin in their own language: no column and no field is called by its Python name."""

import re
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin.utils import flatten_fieldsets, label_for_field
from django.test import RequestFactory
from django.utils import translation

from tests.factories.accounts import person

pytestmark = pytest.mark.django_db
# The same in every language.
NAMES = re.compile(r"ID|IP|URL|HTTP|JSON|SHA-256|Webhook|token", re.IGNORECASE)
OURS = [registered for registered in admin.site._registry.items() if registered[0]._meta.app_label.endswith("_app")]


def label_of(name: Any, model: Any, model_admin: Any) -> str:
    """What stands above a column, or beside a field of the form's own."""
    for form in (model_admin.form, getattr(model_admin, "add_form", model_admin.form)):
        if name in form.declared_fields:
            return str(form.declared_fields[name].label)
    return str(label_for_field(name, model, model_admin))


@pytest.mark.parametrize(("model", "model_admin"), OURS, ids=[model.__name__ for model, _admin in OURS])
def test_every_column_has_a_chinese_name(model: Any, model_admin: Any, rf: RequestFactory) -> None:
    request = rf.get("/admin/")
    request.user = person(is_operator=True).user
    shown = [*model_admin.get_list_display(request), *flatten_fieldsets(model_admin.get_fieldsets(request))]
    with translation.override("zh-hans"):
        words = {str(name): label_of(name, model, model_admin) for name in shown}
        titles = [str(model._meta.verbose_name), str(model._meta.verbose_name_plural)]
    english = {name: label for name, label in words.items() if not re.search("[一-鿿]", label)}
    assert not {name: label for name, label in english.items() if not NAMES.fullmatch(label)}
    assert all(re.search("[一-鿿]", title) for title in titles), titles
