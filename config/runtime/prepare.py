"""``python -m config.runtime.prepare``: initial data and, in development, the demo account; one start of Django."""

import os
import sys

DEMO_EMAIL = "demo@example.com"
DEMO_CREDIT_USD = "5"
DEMO_MADE = "The demo account was made."


def main() -> None:
    """Load the initial data; make the account when ``DEMO_PASSWORD`` is given and there is no account yet."""
    import django
    from django.core.management import call_command
    from django.db import transaction

    django.setup()
    call_command("seed", stdout=sys.stderr)
    if os.environ.get("DEMO_PASSWORD"):
        # Together: an account without its money would stay so, since the next start finds an account.
        with transaction.atomic():
            made = call_command("demo_account", DEMO_EMAIL, stdout=sys.stderr)
            if made == "made":
                call_command("wallet_topup", DEMO_EMAIL, DEMO_CREDIT_USD, key="demo-account", stdout=sys.stderr)
        if made == "made":
            print(DEMO_MADE)  # noqa: T201


if __name__ == "__main__":
    main()
