"""The OpenAPI document is generated without a warning: each body, answer and name in it is meant."""

from pathlib import Path

import pytest
from django.core.management import call_command


@pytest.mark.django_db
def test_openapi_document_is_valid_and_complete(tmp_path: Path) -> None:
    file = tmp_path / "schema.yml"
    call_command("spectacular", file=str(file), validate=True, fail_on_warn=True)
    assert "/api/tasks" in file.read_text()
