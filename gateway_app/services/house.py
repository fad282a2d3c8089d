"""An event loop for threads: the pipeline's steps are coroutines, and those who call a model may be threads."""

import asyncio
import os
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_lock = threading.Lock()
_loops: dict[int, asyncio.AbstractEventLoop] = {}


def house_run(work: Coroutine[Any, Any, T]) -> T:
    """Run ``work`` on this process's house loop, in the caller's context, and return its result or raise its error."""
    return asyncio.run_coroutine_threadsafe(work, _loop()).result()


def _loop() -> asyncio.AbstractEventLoop:
    with _lock:
        # A forked child has a loop of its own: its parent's thread did not come along.
        if os.getpid() not in _loops:
            loop = _loops[os.getpid()] = asyncio.new_event_loop()
            threading.Thread(target=loop.run_forever, name="gateway-house", daemon=True).start()
        return _loops[os.getpid()]
