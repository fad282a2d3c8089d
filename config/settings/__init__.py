"""Django settings, split by topic. Every variable is listed in ``.env.example``."""

from config.settings.api import *  # noqa: F403
from config.settings.apps import *  # noqa: F403
from config.settings.auth import *  # noqa: F403
from config.settings.billing import *  # noqa: F403
from config.settings.core import *  # noqa: F403
from config.settings.database import *  # noqa: F403
from config.settings.gateway import *  # noqa: F403
from config.settings.i18n import *  # noqa: F403
from config.settings.logging import *  # noqa: F403
from config.settings.models import *  # noqa: F403
from config.settings.observability import *  # noqa: F403
from config.settings.partitions import *  # noqa: F403
from config.settings.queues import *  # noqa: F403
from config.settings.security import *  # noqa: F403
from config.settings.static import *  # noqa: F403
from config.settings.tasks import *  # noqa: F403
from config.settings.workflows import *  # noqa: F403
