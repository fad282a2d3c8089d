from django.contrib.admin.apps import AdminConfig


class OperatorAdminConfig(AdminConfig):
    """Django's admin with our own site, which adds the trace page."""

    default_site = "accounts_app.admin_site.OperatorSite"
