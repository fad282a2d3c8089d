import os
import subprocess
import sys

import pytest

SHOW = """
import django; django.setup()
from django.core.files.storage import default_storage as storage
print(storage.deconstruct()[0].rpartition(".")[2], getattr(storage, "bucket_name", ""))
"""


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, "FileSystemStorage"),
        ({"S3_BUCKET_NAME": "pictures", "S3_REGION": "eu-west-1"}, "S3Storage pictures"),
    ],
)
def test_files_go_to_the_bucket_when_one_is_named(variables: dict[str, str], expected: str) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("S3_")} | variables
    done = subprocess.run([sys.executable, "-c", SHOW], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == expected.split()
