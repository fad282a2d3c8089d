"""The client of the providers, against servers that say exactly these bytes. On both event loops."""

import asyncio
import datetime as dt
import socket
import ssl
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from gateway_app.services.upstream import (
    Reply,
    UpstreamBroken,
    UpstreamUnreachable,
    connection,
    pool,
    upstream_close,
    upstream_post,
)
from gateway_app.services.upstream.connection import Connection
from tests.factories.gateway import candidate

Run = Callable[[Coroutine[Any, Any, None]], None]
Speak = Callable[["Talk"], Awaitable[object]]

OK = b"HTTP/1.1 200 OK\r\n"
TEA = OK + b"Content-Length: 3\r\nX-Request-Id: r1\r\n\r\ntea"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
CHUNKS = CHUNKED + b"3\r\ntea\r\n2;x=y\r\n, \r\n6\r\ncoffee\r\n0\r\nX-Trailer: t\r\n\r\n"
MIB = 1024 * 1024


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Run a coroutine in an event loop of one kind, and close the loop's connections."""

    def in_loop(work: Coroutine[Any, Any, None]) -> None:
        async def main() -> None:
            try:
                async with asyncio.timeout(30):
                    await work
            finally:
                await upstream_close()

        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(main())

    return in_loop


@dataclass
class Talk:
    """One connection, seen by the server."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def hear(self) -> bytes:
        """Return one request's head and body."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
        return head + await self.reader.readexactly(int(length.split(b":")[1]))

    async def say(self, data: bytes) -> None:
        """Send bytes."""
        self.writer.write(data)
        await self.writer.drain()

    async def ended(self) -> bool:
        """Wait until the client has ended it."""
        with suppress(ConnectionError):
            return not await self.reader.read()
        return True


@dataclass
class Server:
    """What a server has seen."""

    port: int = 0
    connections: int = 0
    heard: list[bytes] = field(default_factory=list)


@asynccontextmanager
async def serving(speak: Speak, tls: ssl.SSLContext | None = None) -> Any:
    """A server whose every connection is given to ``speak``, and closed after it."""
    server = Server()
    talks: set[asyncio.Task[None]] = set()

    async def work(talk: Talk) -> None:
        try:
            await speak(talk)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            talk.writer.close()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.connections += 1
        talks.add(asyncio.ensure_future(work(Talk(reader, writer))))

    listening = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        for talk in talks:
            talk.cancel()
        await asyncio.gather(*talks, return_exceptions=True)


async def post(
    server: Server, body: bytes = b"{}", *, scheme: str = "http", host: str = "127.0.0.1", **changes: Any
) -> Reply:
    endpoint = replace(
        candidate("typed").endpoint, url=f"{scheme}://{host}:{server.port}/v1", is_trusted=True, **changes
    )
    return await upstream_post(
        endpoint, "chat/completions", body, content_type="application/json", is_stream=False, call_id="c1"
    )


async def everything(reply: Reply) -> bytes:
    parts = []
    while part := await reply.read():
        parts.append(part)
    return b"".join(parts)


def saying(*answers: bytes) -> Speak:
    """One answer for each request, and then the end."""

    async def speak(talk: Talk) -> None:
        for answer in answers:
            await talk.hear()
            await talk.say(answer)

    return speak


async def forever(talk: Talk) -> None:
    while True:
        await talk.hear()
        await talk.say(TEA)


def test_a_request_says_what_it_must_and_no_more(run: Run) -> None:
    heard = []

    async def speak(talk: Talk) -> None:
        heard.append(await talk.hear())
        await talk.say(TEA)

    async def work() -> None:
        async with serving(speak) as server:
            reply = await post(server, b'{"a": 1}', api_key="sk-1")
            assert (reply.status, reply.headers["x-request-id"]) == (200, "r1")
            assert await everything(reply) == b"tea"
            head, _blank, body = heard[0].partition(b"\r\n\r\n")
            line, *headers = head.split(b"\r\n")
            assert line == b"POST /v1/chat/completions HTTP/1.1"
            assert sorted(headers) == sorted(
                [
                    b"Host: 127.0.0.1:%d" % server.port,
                    b"Authorization: Bearer sk-1",
                    b"Accept: application/json",
                    b"Accept-Encoding: identity",
                    b"User-Agent: DeepSpace",
                    b"Content-Type: application/json",
                    b"X-Client-Request-Id: c1",
                    b"Content-Length: 8",
                ]
            )
            assert body == b'{"a": 1}'

    run(work())


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(TEA, id="length"),
        pytest.param(CHUNKED + b"1\r\nt\r\n2\r\nea\r\n0\r\n\r\n", id="chunks"),
        pytest.param(OK + b"\r\ntea", id="until the end"),
        pytest.param(OK + b"Content-Encoding: Identity\r\n\r\ntea", id="not packed"),
        pytest.param(b"HTTP/1.0 200 OK\r\n\r\ntea", id="HTTP/1.0"),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + TEA, id="interim"),
        pytest.param(TEA + b"more than was asked for", id="more"),
    ],
)
def test_every_kind_of_end_is_understood(run: Run, answer: bytes) -> None:
    async def work() -> None:
        async with serving(saying(answer)) as server:
            reply = await post(server)
            assert (reply.status, await everything(reply), reply.is_complete) == (200, b"tea", True)
            assert await reply.read() == b""

    run(work())


@pytest.mark.parametrize(
    ("answer", "before"),
    [
        (OK + b"Content-Length: 30\r\n\r\ntea", b"tea"),
        (CHUNKED + b"3\r\ntea\r\n", b"tea"),
        (CHUNKED + b"3\r\ntea\r\nno number\r\n", b"tea"),
        (CHUNKED, b""),
    ],
)
def test_a_break_is_told_after_what_came_before_it(run: Run, answer: bytes, before: bytes) -> None:
    async def work() -> None:
        async with serving(saying(answer)) as server:
            reply = await post(server)
            if before:
                assert await reply.read() == before
            for _number in range(2):
                with pytest.raises(UpstreamBroken):
                    await reply.read()

    run(work())


@pytest.mark.parametrize(
    ("rest", "gathers_for"),
    [
        pytest.param(b"0\r\n\r\n", 60, id="the end"),
        pytest.param(b"no number\r\n", 60, id="a break"),
        pytest.param(b"%x\r\n" % MIB + b"x" * MIB, 60, id="much"),
        pytest.param(b"", 0.05, id="time"),
    ],
)
def test_a_burst_is_given_out_in_one_piece(
    run: Run, monkeypatch: pytest.MonkeyPatch, rest: bytes, gathers_for: float
) -> None:
    monkeypatch.setattr(connection, "_GATHER_SECONDS", gathers_for)

    async def speak(talk: Talk) -> None:
        await talk.hear()
        for part in (CHUNKED, b"3\r\ntea\r\n", b"3\r\nand\r\n", b"6\r\ncoffee\r\n", rest):
            await talk.say(part)
            await asyncio.sleep(0.1 if part.startswith(b"3") else 0)
        await talk.ended()

    async def work() -> None:
        async with serving(speak) as server:
            reply = await post(server)
            assert await reply.read() == b"tea"
            if gathers_for < 1:
                assert await reply.read() == b"and"
            else:
                assert (await reply.read()).startswith(b"andcoffee")
            reply.close()

    run(work())


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 2",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
        OK + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\ntea!",
        OK + b"X-Long: " + b"x" * 80_000 + b"\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 4000,
        OK + b"Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\ntea",
    ],
    ids=["nothing", "half", "no HTTP", "upgrade", "two lengths", "long head", "only interim", "packed"],
)
def test_what_is_no_answer_is_told(run: Run, answer: bytes) -> None:
    async def speak(talk: Talk) -> None:
        await talk.hear()
        await talk.say(answer)
        if answer:
            await talk.ended()

    async def work() -> None:
        async with serving(saying(answer) if answer in (b"", b"HTTP/1.1 2") else speak) as server:
            with pytest.raises(UpstreamBroken):
                await post(server)

    run(work())


def test_endless_trailers_end(run: Run) -> None:
    async def speak(talk: Talk) -> None:
        await talk.hear()
        await talk.say(CHUNKED + b"3\r\ntea\r\n0\r\n")
        while True:
            await talk.say(b"X-Trailer: " + b"t" * 1000 + b"\r\n")

    async def work() -> None:
        async with serving(speak) as server:
            reply = await post(server)
            with pytest.raises(UpstreamBroken):
                await everything(reply)

    run(work())


def test_a_connection_is_asked_again(run: Run) -> None:
    async def work() -> None:
        async with serving(forever) as server:
            for _number in range(3):
                reply = await post(server)
                assert await everything(reply) == b"tea"
                reply.close()
            assert server.connections == 1
            replies = await asyncio.gather(*(post(server) for _number in range(3)))
            assert [await everything(reply) for reply in replies] == [b"tea"] * 3
            assert server.connections == 3

    run(work())


@pytest.mark.parametrize(
    "answer",
    [
        OK + b"Connection: close\r\nContent-Length: 3\r\n\r\ntea",
        b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\ntea",
        TEA + b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged",
        TEA + b"\0",
    ],
    ids=["close", "HTTP/1.0", "another answer", "garbage"],
)
def test_one_that_may_not_be_trusted_with_another_question_is_not(run: Run, answer: bytes) -> None:
    async def speak(talk: Talk) -> None:
        await talk.hear()
        await talk.say(answer)
        await talk.ended()

    async def work() -> None:
        async with serving(speak) as server:
            for number in (1, 2):
                assert await everything(await post(server)) == b"tea"
                assert server.connections == number

    run(work())


def test_what_is_said_unasked_answers_nothing(run: Run) -> None:
    connections, ended = 0, asyncio.Event()

    async def speak(talk: Talk) -> None:
        nonlocal connections
        connections += 1
        await talk.hear()
        await talk.say(TEA)
        if connections == 1:
            await asyncio.sleep(0.05)
            await talk.say(OK + b"Content-Length: 6\r\n\r\nforged")
            await talk.ended()
            ended.set()
        await talk.ended()

    async def work() -> None:
        async with serving(speak) as server:
            assert await everything(await post(server)) == b"tea"
            await ended.wait()
            assert await everything(await post(server)) == b"tea"
            assert connections == 2

    run(work())


def test_one_that_the_server_ended_is_opened_anew(run: Run) -> None:
    async def work() -> None:
        async with serving(saying(TEA)) as server:
            for _number in range(3):
                assert await everything(await post(server)) == b"tea"
                await asyncio.sleep(0.05)
            assert server.connections == 3

    run(work())


def test_one_that_was_idle_for_long_is_ended(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "_KEEP_ALIVE_SECONDS", 0.2)
    ended = asyncio.Event()

    async def speak(talk: Talk) -> None:
        await talk.hear()
        await talk.say(TEA)
        if await talk.ended():
            ended.set()

    async def work() -> None:
        async with serving(speak) as server:
            assert await everything(await post(server)) == b"tea"
            await ended.wait()
            assert await everything(await post(server)) == b"tea"
            assert server.connections == 2

    run(work())


def test_a_slow_reader_makes_the_provider_wait(run: Run) -> None:
    size, sent = 64 * MIB, 0

    async def speak(talk: Talk) -> None:
        nonlocal sent
        await talk.hear()
        await talk.say(OK + b"Content-Length: %d\r\n\r\n" % size)
        while sent < size:
            await talk.say(b"x" * MIB)
            sent += MIB

    async def work() -> None:
        async with serving(speak) as server:
            reply = await post(server)
            await asyncio.sleep(0.5)
            assert sent < size / 2
            came = 0
            while part := await reply.read():
                assert len(part) <= MIB
                came += len(part)
            assert came == size

    run(work())


@pytest.mark.parametrize("is_cancelled", [False, True])
def test_who_leaves_ends_the_providers_work(run: Run, is_cancelled: bool) -> None:
    heard, ended = asyncio.Event(), asyncio.Event()

    async def speak(talk: Talk) -> None:
        await talk.hear()
        heard.set()
        if not is_cancelled:
            await talk.say(CHUNKED + b"3\r\ntea\r\n")
        if await talk.ended():
            ended.set()

    async def work() -> None:
        async with serving(speak) as server:
            asking = asyncio.ensure_future(post(server))
            await heard.wait()
            if is_cancelled:
                asking.cancel()
            else:
                (await asking).close()
            async with asyncio.timeout(5):
                await ended.wait()

    run(work())


def test_a_large_question_arrives_whole(run: Run) -> None:
    body = bytes(range(256)) * (8 * MIB // 256)
    heard: list[bytes] = []

    async def speak(talk: Talk) -> None:
        heard.append((await talk.hear()).partition(b"\r\n\r\n")[2])
        await talk.say(TEA)

    async def work() -> None:
        async with serving(speak) as server:
            assert await everything(await post(server, body)) == b"tea"
            assert heard == [body]

    run(work())


def test_an_answer_may_come_before_the_question_is_over(run: Run) -> None:
    async def speak(talk: Talk) -> None:
        await talk.reader.readuntil(b"\r\n\r\n")
        await talk.say(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\n\r\nmuch")
        await talk.reader.read()

    async def work() -> None:
        async with serving(speak) as server:
            reply = await post(server, b"x" * 4 * MIB)
            assert (reply.status, await everything(reply)) == (413, b"much")

    run(work())


@pytest.mark.parametrize(
    "changes",
    [{"api_key": "sk-1\r\nX-Forged: 1"}, {"api_key": "sk-café-\u2603"}, {"scheme": "ftp"}, {"host": "[::1"}],
    ids=["a line's end", "no letter of a header's", "scheme", "host"],
)
def test_what_cannot_be_said_is_not_sent(run: Run, changes: dict[str, Any]) -> None:
    async def work() -> None:
        async with serving(forever) as server:
            with pytest.raises(UpstreamUnreachable):
                await post(server, **changes)
            assert server.connections == 0

    run(work())


def test_nobody_there_is_told(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    async def work() -> None:
        with pytest.raises(UpstreamUnreachable, match="There is no connection"):
            await post(Server(port))

    run(work())


def test_many_who_want_to_know_a_name_ask_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = 0

    async def work() -> None:
        loop = asyncio.get_running_loop()
        real = loop.getaddrinfo

        async def resolve(host: Any, *more: Any, **named: Any) -> Any:
            nonlocal asked
            if host != "models.example.com":
                return await real(host, *more, **named)
            asked += 1
            await asyncio.sleep(0.05)
            return await real("127.0.0.1", *more, **named)

        monkeypatch.setattr(loop, "getaddrinfo", resolve)
        async with serving(forever) as server:
            asking = [asyncio.ensure_future(post(server, host="models.example.com")) for _number in range(20)]
            await asyncio.sleep(0.01)
            asking.pop(0).cancel()
            replies = await asyncio.gather(*asking)
            assert [await everything(reply) for reply in replies] == [b"tea"] * 19

    run(work())
    assert asked == 1


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of nobody's but 127.0.0.1, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Test")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path


def tls_of(certificate: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    return context


def test_tls_is_spoken_with_whom_we_trust(run: Run, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trusting = ssl.create_default_context(cafile=str(certificate))
    monkeypatch.setattr(pool, "_tls", lambda: trusting)

    async def work() -> None:
        async with serving(forever, tls_of(certificate)) as server:
            for _number in range(2):
                assert await everything(await post(server, scheme="https")) == b"tea"
            assert server.connections == 1
            with pytest.raises(UpstreamUnreachable, match="localhost"):
                await post(server, scheme="https", host="localhost")

    run(work())


def test_tls_with_a_stranger_is_not_spoken(run: Run, certificate: Path) -> None:
    async def work() -> None:
        async with serving(forever, tls_of(certificate)) as server:
            with pytest.raises(UpstreamUnreachable, match="certificate"):
                await post(server, scheme="https")

    run(work())


def test_connecting_has_a_limit(run: Run) -> None:
    async def work() -> None:
        # It takes connections, and never begins the handshake.
        async with serving(Talk.ended) as server:
            with pytest.raises(UpstreamUnreachable, match=r"0\.3 s"):
                await post(server, scheme="https", connect_timeout=0.3)

    run(work())


class Socket(asyncio.Transport):
    """A transport that sends nothing."""

    def writelines(self, list_of_data: Any) -> None: ...
    def is_closing(self) -> bool:
        return False


@given(cuts=st.lists(st.integers(1, len(CHUNKS) - 1), max_size=20))
def test_it_does_not_matter_how_an_answer_is_cut(cuts: list[int]) -> None:
    given_back: list[Connection] = []
    at = sorted({0, *cuts, len(CHUNKS)})

    async def work() -> None:
        connection = Connection(given_back.append, lambda _lost: None)
        connection.connection_made(Socket())
        asking = asyncio.ensure_future(connection.ask([b""]))
        await asyncio.sleep(0)
        for begin, end in pairwise(at):
            connection.data_received(CHUNKS[begin:end])
        assert await everything(await asking) == b"tea, coffee"
        assert given_back == [connection]

    asyncio.run(work())
