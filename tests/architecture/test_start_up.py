"""What a process loads before it has anything to do."""

import json
import subprocess
import sys

from config.environment import BASE_DIR

_LOADED = """
import json, sys
import django
django.setup()
from django.urls import get_resolver
get_resolver().url_patterns
import config.celery
config.celery.app.loader.import_default_modules()
print(json.dumps(sorted(sys.modules)))
"""
# Each is loaded by the processes that use it, at the moment they do; openai alone costs 20 MiB in every process.
LATE = {"openai", "boto3", "botocore"}


def test_pages_workers_and_beat_start_without_what_only_some_of_them_use() -> None:
    told = subprocess.run([sys.executable, "-c", _LOADED], cwd=BASE_DIR, capture_output=True, text=True, check=True)
    loaded = set(json.loads(told.stdout.splitlines()[-1]))
    assert LATE & loaded == set()
