"""Packs that are imported at the same moment."""

import threading
from typing import Any

import pytest
from django.db import connection

from tests.factories.workflows import acting, owner
from workflows_app.services.pack_parts import PackParts, parts_import

pytestmark = pytest.mark.usefixtures("committed_db")

MESSAGES = [{"role": "user", "content": "Write about {{ topic }}."}]


def test_of_two_packs_at_once_one_brings_the_prompt() -> None:
    tenant = owner()
    pack: dict[str, Any] = {"prompts": [{"key": "tea", "name": "Tea", "versions": [{"messages": MESSAGES}]}]}
    together = threading.Barrier(4)
    told: list[PackParts] = []

    def bring() -> None:
        try:
            with acting(tenant):
                together.wait(30)
                told.append(parts_import(pack))
        finally:
            connection.close()

    threads = [threading.Thread(target=bring) for _number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(len(parts.created) for parts in told) == [0, 0, 0, 1]
    assert sorted(len(parts.kept) for parts in told) == [0, 1, 1, 1]
