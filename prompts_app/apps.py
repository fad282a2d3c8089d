from typing import Any

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class PromptsConfig(AppConfig):
    name = "prompts_app"
    verbose_name = _("Prompts")

    def ready(self) -> None:
        from accounts_app.signals import seed_requested

        seed_requested.connect(_seed, dispatch_uid="prompts_app")


def _seed(**kwargs: Any) -> str:
    from prompts_app.seeds.loader import load

    return load()
