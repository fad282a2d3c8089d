"""The names of keys, projects and members beside their ids in the books."""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from django.utils.translation import gettext as _

from accounts_app.selectors import api_keys_visible, member_list, project_list
from billing_app.selectors.spending import Dimension


@dataclass(frozen=True)
class Names:
    """What the reader may know by name. Whatever has gone, or is not theirs to see, is called by its id's beginning."""

    keys: dict[UUID, str]
    projects: dict[UUID, str]
    members: dict[UUID, str]

    def of(self, dimension: Dimension) -> Callable[[object], str]:
        """Return the function that names a dimension's values."""
        return {Dimension.KEY: self.key, Dimension.PROJECT: self.project, Dimension.MEMBER: self.member}[dimension]

    def key(self, key_id: object) -> str:
        """The name of an API key; None are the calls from pages and tasks, which need none."""
        if key_id is None:
            return _("Without a key (pages and tasks)")
        return self.keys.get(key_id) or _("Key %(id)s") % {"id": str(key_id)[:8]}  # type: ignore[call-overload]

    def project(self, project_id: object) -> str:
        """The name of a project."""
        if project_id is None:
            return _("No project")
        return self.projects.get(project_id) or _("Project %(id)s") % {"id": str(project_id)[:8]}  # type: ignore[call-overload]

    def member(self, user_id: object) -> str:
        """The e-mail address of a member."""
        if user_id is None:
            return _("Nobody in particular")
        return self.members.get(user_id) or _("Former member %(id)s") % {"id": str(user_id)[:8]}  # type: ignore[call-overload]


def names_known() -> Names:
    """Return the names in the bound organization that the caller may see. Three queries."""
    return Names(
        keys=dict(api_keys_visible().values_list("pk", "name")),
        projects=dict(project_list().values_list("pk", "name")),
        members=dict(member_list().values_list("user_id", "user__email")),
    )
