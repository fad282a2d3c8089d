from django.urls import URLPattern, path

from workflows_app.api import templates as looks
from workflows_app.api import templates_actions as actions

_one = "v1/templates/<uuid:template_id>"

urlpatterns: list[URLPattern] = [
    path("v1/schemas/workflow.json", actions.schema, name="template-schema"),
    path("v1/schemas/pack.json", actions.schema_of_packs, name="pack-schema"),
    path("v1/templates", looks.TemplatesView.as_view(), name="templates"),
    path("v1/templates/import", actions.TemplatesImportView.as_view(), name="templates-import"),
    path("v1/templates/validate", actions.TemplatesValidateView.as_view(), name="templates-validate"),
    path(_one, looks.TemplateView.as_view(), name="template"),
    path(f"{_one}/publish", actions.TemplatePublishView.as_view(), name="template-publish"),
    path(f"{_one}/activate", actions.TemplateActivateView.as_view(), name="template-activate"),
    path(f"{_one}/deactivate", actions.TemplateDeactivateView.as_view(), name="template-deactivate"),
    path(f"{_one}/default", actions.TemplateDefaultView.as_view(), name="template-default"),
    path(f"{_one}/duplicate", actions.TemplateDuplicateView.as_view(), name="template-duplicate"),
    path(f"{_one}/diff", actions.TemplateDiffView.as_view(), name="template-diff"),
    path(f"{_one}/export", actions.TemplateExportView.as_view(), name="template-export"),
    path(f"{_one}/pack", actions.TemplatePackView.as_view(), name="template-pack"),
]
