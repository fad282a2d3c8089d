import sys

from django.core.exceptions import ImproperlyConfigured

from config.runtime.console import say


def run() -> int:
    """Run the process manager; what the environment has wrong may show as soon as it is looked at."""
    try:
        from config.runtime.manager import main
    except ImproperlyConfigured as refused:
        say(f"Not started. {refused}")
        return 1
    return main()


if __name__ == "__main__":
    sys.exit(run())
