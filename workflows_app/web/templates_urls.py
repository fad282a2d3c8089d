from django.urls import path

from workflows_app.web import templates, templates_editing
from workflows_app.web.templates_editing import DEEDS, DeedView

_ONE = "workflows/<uuid:template_id>"

urlpatterns = [
    path("workflows/", templates.ListView.as_view(), name="list"),
    path("workflows/new/", templates_editing.NewView.as_view(), name="new"),
    path("workflows/check/", templates_editing.CheckView.as_view(), name="check"),
    path("workflows/import/", templates_editing.ImportView.as_view(), name="import"),
    path(f"{_ONE}/", templates.DetailView.as_view(), name="detail"),
    path(f"{_ONE}/edit/", templates_editing.EditView.as_view(), name="edit"),
    path(f"{_ONE}/compare/", templates.DiffView.as_view(), name="diff"),
    path(f"{_ONE}/export/", templates.ExportView.as_view(), name="export"),
    path(f"{_ONE}/pack/", templates.PackView.as_view(), name="pack"),
    path(f"{_ONE}/publish/", templates_editing.PublishView.as_view(), name="publish"),
    *(path(f"{_ONE}/{deed}/", DeedView.as_view(deed=deed), name=deed) for deed in DEEDS),
]
