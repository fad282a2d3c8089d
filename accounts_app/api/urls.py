from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.urls import URLPattern, URLResolver, path

from accounts_app.api.views import invitations, ip_rules, keys, projects, tokens
from accounts_app.middleware import non_atomic

View = Callable[..., HttpResponseBase]


def _both(route: str, view: View, name: str) -> Iterator[URLPattern]:
    """The route with and without the slash at its end: a POST cannot be redirected from one to the other."""

    @wraps(view)
    def slashless(request: HttpRequest, **kwargs: Any) -> HttpResponseBase:
        return view(request, **kwargs)

    # One of the two is enough for the OpenAPI document, which looks for the class.
    vars(slashless).pop("cls", None)
    yield path(f"{route}/", view, name=name)
    yield path(route, slashless, name=f"{name}-slashless")


_project = "projects/<uuid:project_id>"
_invitation = "invitations/<uuid:invitation_id>"

urlpatterns: list[URLPattern | URLResolver] = [
    *_both("keys", keys.ApiKeysView.as_view(), "api-keys"),
    *_both("keys/<uuid:key_id>", keys.ApiKeyView.as_view(), "api-key"),
    *_both("keys/<uuid:key_id>/rotate", keys.ApiKeyRotateView.as_view(), "api-key-rotate"),
    *_both("projects", projects.ProjectsView.as_view(), "api-projects"),
    *_both(_project, projects.ProjectView.as_view(), "api-project"),
    *_both(f"{_project}/archive", projects.ProjectArchiveView.as_view(), "api-project-archive"),
    *_both(f"{_project}/restore", projects.ProjectRestoreView.as_view(), "api-project-restore"),
    *_both("invitations", invitations.InvitationsView.as_view(), "api-invitations"),
    *_both(_invitation, invitations.InvitationView.as_view(), "api-invitation"),
    *_both(f"{_invitation}/resend", invitations.InvitationResendView.as_view(), "api-invitation-resend"),
    *_both("ip-rules", ip_rules.IpRulesView.as_view(), "api-ip-rules"),
    *_both("ip-rules/<uuid:rule_id>", ip_rules.IpRuleView.as_view(), "api-ip-rule"),
    # Without a transaction of the request: what a refusal writes down must stay.
    path("auth/token", non_atomic(tokens.TokenView.as_view()), name="api-token"),
    path("auth/token/refresh", non_atomic(tokens.TokenRefreshView.as_view()), name="api-token-refresh"),
    path("auth/token/revoke", non_atomic(tokens.TokenRevokeView.as_view()), name="api-token-revoke"),
]
