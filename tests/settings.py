"""The project's settings with what tests need otherwise: cheap passwords, mail kept in memory, short leases."""

from config.settings import *  # noqa: F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
WORKFLOW_LEASE_SECONDS = 2.0
# Calls of killed processes are resolved as soon as they are found.
GATEWAY_UNKNOWN_SECONDS = 0
