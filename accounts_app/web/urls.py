from django.urls import include, path

from accounts_app.web import invitations, ip_rules, keys, language, organization, projects, traces

_keys = [
    path("settings/keys/", keys.KeysView.as_view(), name="keys"),
    path("settings/keys/<uuid:key_id>/", keys.KeyView.as_view(), name="key"),
    path("settings/keys/<uuid:key_id>/rotate/", keys.KeyRotateView.as_view(), name="key-rotate"),
    path("settings/keys/<uuid:key_id>/revoke/", keys.KeyRevokeView.as_view(), name="key-revoke"),
    path("settings/addresses/", ip_rules.IpRulesView.as_view(), name="ip-rules"),
    path("settings/addresses/<uuid:rule_id>/remove/", ip_rules.IpRuleRemoveView.as_view(), name="ip-rule-remove"),
]

_projects = [
    path("settings/projects/", projects.ProjectsView.as_view(), name="projects"),
    path("settings/projects/<uuid:project_id>/", projects.ProjectView.as_view(), name="project"),
    path("settings/projects/<uuid:project_id>/archive/", projects.ProjectArchiveView.as_view(), name="project-archive"),
    path("settings/projects/<uuid:project_id>/restore/", projects.ProjectRestoreView.as_view(), name="project-restore"),
]

_invitations = [
    # What the link in the mail opens.
    path("invitation/", invitations.InvitationView.as_view(), name="invitation"),
    path("settings/organization/invitations/", invitations.InvitationSendView.as_view(), name="invitation-send"),
    path(
        "settings/organization/invitations/<uuid:invitation_id>/resend/",
        invitations.InvitationResendView.as_view(),
        name="invitation-resend",
    ),
    path(
        "settings/organization/invitations/<uuid:invitation_id>/revoke/",
        invitations.InvitationRevokeView.as_view(),
        name="invitation-revoke",
    ),
]

_organization = [
    path("settings/organization/", organization.OrganizationView.as_view(), name="organization"),
    path("settings/organization/new/", organization.OrganizationCreateView.as_view(), name="organization-create"),
    path("settings/organization/switch/", organization.OrganizationSwitchView.as_view(), name="organization-switch"),
    path("settings/organization/leave/", organization.OrganizationLeaveView.as_view(), name="organization-leave"),
    path("settings/organization/members/", organization.MemberAddView.as_view(), name="member-add"),
    path(
        "settings/organization/members/<uuid:membership_id>/role/",
        organization.MemberRoleView.as_view(),
        name="member-role",
    ),
    path(
        "settings/organization/members/<uuid:membership_id>/remove/",
        organization.MemberRemoveView.as_view(),
        name="member-remove",
    ),
]

_traces = [
    path("traces/", traces.TraceSearchView.as_view(), name="traces"),
    path("traces/<slug:trace_id>/", traces.TraceView.as_view(), name="trace"),
]

urlpatterns = [
    path("", include(([*_keys, *_projects, *_invitations, *_organization, *_traces], "accounts"))),
    path("i18n/setlang/", language.set_language, name="set_language"),
]
