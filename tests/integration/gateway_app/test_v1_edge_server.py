"""/v1 behind the real web server: leaving, slow reading and stopping over real sockets."""

import json
import socket
import threading
import time

import pytest

from accounts_app.tenancy.context import operator_atomic
from billing_app.models import Wallet
from config.runtime.ports import free_port
from tests.fixtures.stack import AccountMaker
from tests.support.edge import TEXT, events
from tests.support.gateway import assert_settled, books
from tests.support.processes import wait_until
from tests.support.stack import Stack
from tests.support.upstream import Behaviour


def opened(port: int, secret: str, *, model: str = "scripted", **body: object) -> socket.socket:
    """Return a socket on which a call has been asked for."""
    content = json.dumps({"model": model, "messages": [{"role": "user", "content": TEXT}], **body}).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {secret}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\nConnection: close\r\n\r\n"
    )
    connection = socket.create_connection(("127.0.0.1", port), timeout=60)
    connection.sendall(head.encode() + content)
    return connection


def rest(connection: socket.socket) -> bytes:
    """Return all that is still to come."""
    parts = []
    while part := connection.recv(65_536):
        parts.append(part)
    connection.close()
    return b"".join(parts)


def assert_no_traceback(log: str) -> None:
    """Fail with the lines that have one, whole: what an assertion shows of them ends before they say what happened."""
    if told := [line for line in log.splitlines() if "Traceback" in line]:
        pytest.fail("\n".join(told))


def test_caller_who_hangs_up_closes_the_upstream_at_once(stack: Stack, make_account: AccountMaker) -> None:
    account = make_account()
    connection = opened(stack.port, account.secret, model="scripted--slow=30", stream=True)
    wait_until(lambda: any(served.completion_tokens > 3 for served in stack.upstream.served))
    connection.close()
    (served,) = stack.upstream.wait_idle()
    assert served.outcome == "client_gone"
    wait_until(lambda: books(account.organization_id).frozen == 0)
    assert assert_settled(account.organization_id).call.ending == "client_gone"


def test_server_that_stops_settles_what_it_has_answered(stack: Stack, make_account: AccountMaker) -> None:
    account = make_account()
    port = free_port()
    web = stack.spawn_web(port=port)
    stack.upstream.behave(Behaviour(first_delay=1_000))
    connection = opened(port, account.secret)
    wait_until(lambda: stack.upstream.served)
    with operator_atomic("test"):
        list(Wallet.objects.select_for_update().filter(organization_id=account.organization_id))
        assert b"200 OK" in rest(connection)
        stopping = threading.Thread(target=web.stop)
        stopping.start()
        time.sleep(1)
        assert stopping.is_alive()
    stopping.join()
    assert assert_settled(account.organization_id).call.ending == "completed"
    assert_no_traceback(web.log.read_text())


def test_server_that_stops_lets_an_open_stream_end_and_leaves_quietly(stack: Stack, make_account: AccountMaker) -> None:
    account = make_account()
    port = free_port()
    web = stack.spawn_web(port=port)
    connection = opened(port, account.secret, model="scripted--slow=30", stream=True)
    wait_until(lambda: any(served.completion_tokens > 3 for served in stack.upstream.served))
    stopping = threading.Thread(target=web.stop)
    stopping.start()
    body = rest(connection).partition(b"\r\n\r\n")[2]
    stopping.join()
    assert events(body)[-1] == "[DONE]"
    assert assert_settled(account.organization_id).call.ending == "completed"
    log = web.log.read_text()
    assert "Unclosed" not in log
    assert_no_traceback(log)
