from django.urls import include, path

from accounts_app.web import keys, language, organization, traces

_settings = [
    path("settings/keys/", keys.KeysView.as_view(), name="keys"),
    path("settings/keys/<uuid:key_id>/revoke/", keys.KeyRevokeView.as_view(), name="key-revoke"),
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
    path("", include(([*_settings, *_traces], "accounts"))),
    path("i18n/setlang/", language.set_language, name="set_language"),
]
