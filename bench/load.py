"""A closed loop of keep-alive connections over real sockets."""

import http.client
import json
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from bench.report import Timing


@dataclass
class Target:
    """What is asked, again and again; ``expect`` is the status of a right answer."""

    port: int
    path: str
    body: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)
    expect: int = 201


def run(target: Target, *, connections: int, requests: int) -> tuple[float, Timing]:
    """Send ``requests`` over ``connections``; return requests per second and each answer's time.

    Raises RuntimeError on the first answer that is not the expected one.
    """
    share, samples, errors = requests // connections, [], []

    def client() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", target.port, timeout=60)
        body = json.dumps(target.body)
        headers = {"Content-Type": "application/json", **target.headers}
        for _ in range(share):
            began = time.perf_counter()
            connection.request("POST", target.path, body, headers)
            response = connection.getresponse()
            answer = response.read()
            if response.status != target.expect:
                errors.append(f"{target.path}: {response.status} {answer[:300]!r}")
                return
            samples.append(time.perf_counter() - began)
        connection.close()

    threads = [threading.Thread(target=client) for _ in range(connections)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - began
    if errors:
        raise RuntimeError(errors[0])
    return len(samples) / seconds, Timing(tuple(samples))
