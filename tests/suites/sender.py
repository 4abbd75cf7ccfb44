"""What every `Sender` promises (semantics 2.3, 5 and 9), tried against real sockets.

Rules of residence: only what holds for all implementations. A subclass says which one it is.
"""

import asyncio
import gzip
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from ipaddress import ip_network
from typing import Protocol

import pytest

from taskmaster.delivery.addresses import EgressRules
from taskmaster.delivery.egress import Egress, Lookup, Target
from taskmaster.delivery.sender import Outbound, Sender
from taskmaster.events.types import MILLISECOND, SECOND, GateName
from taskmaster.model.retry import Responded, Trouble, Unanswered
from tests.suites.endpoints import (
    HELLO,
    Authority,
    Behaviour,
    Endpoint,
    Reader,
    Writer,
    after_request,
    answering,
    at_once,
    closed_port,
    hangs_up,
    listening,
    never_accepting,
    receive,
    repeats,
    resets,
    writes,
    writes_and_hangs,
    writes_and_resets,
)

LOOPBACK = EgressRules(loopback=True)


class MakeSender(Protocol):
    """The constructor that all senders share."""

    def __call__(
        self, egress: Egress, *, roots_pem: bytes = b"", lookup: Lookup | None = None
    ) -> Sender: ...


def outbound(
    url: str,
    *,
    method: str = "POST",
    headers: tuple[tuple[str, str], ...] = (),
    body: bytes = b"{}",
    timeout_ns: int = 10 * SECOND,
) -> Outbound:
    """One attempt's request."""
    return Outbound(GateName("g"), url, method, headers, body, timeout_ns, 32)


def resolving(**names: tuple[str, ...]) -> Lookup:
    """A resolver that knows these names: `hook_test` stands for `hook.test`."""

    async def lookup(target: Target) -> list[str]:
        answers = names.get(target.host.replace(".", "_"))
        if answers is None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return list(answers)

    return lookup


def trouble(answer: object) -> Trouble:
    """What an attempt without a response came to; its text must not give the query away."""
    assert isinstance(answer, Unanswered), answer
    assert "secret" not in answer.error
    assert "\n" not in answer.error
    return answer.outcome


async def until(is_so: Callable[[], object]) -> None:
    """Wait for a condition, at most 5 s."""
    async with asyncio.timeout(5):
        while not is_so():
            await asyncio.sleep(0.001)


class SenderSuite:
    """Subclass it with the sender's class as `sender_class`."""

    sender_class: MakeSender

    @pytest.fixture
    async def sender(self) -> AsyncIterator[Sender]:
        """One that may reach loopback, and knows no name."""
        sender = self.sender_class(Egress(LOOPBACK), lookup=resolving())
        yield sender
        await sender.close()

    @pytest.fixture
    async def make(self) -> AsyncIterator[Callable[..., Sender]]:
        """Makes senders as a test needs them, and closes them."""
        async with AsyncExitStack() as stack:

            def make(
                *names: tuple[str, ...],
                rules: EgressRules = LOOPBACK,
                roots_pem: bytes = b"",
                lookup: Lookup | None = None,
            ) -> Sender:
                sender = self.sender_class(
                    Egress(rules),
                    roots_pem=roots_pem,
                    lookup=lookup or resolving(hook_test=names[0] if names else ("127.0.0.1",)),
                )
                stack.push_async_callback(sender.close)
                return sender

            yield make

    # --- what arrives, and what comes back ---

    async def test_a_response_comes_back_whole(self, sender: Sender) -> None:
        async with listening(answering(HELLO)) as endpoint:
            answer = await sender.send(outbound(endpoint.url))

        assert isinstance(answer, Responded)
        assert (answer.status, answer.body, answer.truncated) == (200, b"hello", False)
        assert answer.retry_after is None
        assert 0 < answer.duration_ns < 10 * SECOND

    async def test_a_request_arrives_as_it_was_submitted(self, sender: Sender) -> None:
        body = bytes(range(256)) * 64
        headers = (("X-Many", "1"), ("X-Many", "2"), ("X-Empty", ""), ("x-tab", "a\tb"))
        async with listening(answering(HELLO)) as endpoint:
            await sender.send(outbound(endpoint.url, method="PATCH", headers=headers, body=body))

        (request,) = endpoint.received
        assert request.line == "PATCH /hook?token=secret HTTP/1.1"
        assert request.body == body
        assert request.header("x-many") == ["1", "2"]
        assert request.header("x-empty") == [""]
        assert request.header("x-tab") == ["a\tb"]
        assert request.header("content-length") == [str(len(body))]
        assert request.header("host") == [f"127.0.0.1:{endpoint.port}"]

    async def test_a_sender_adds_its_name_and_nothing_that_invites(self, sender: Sender) -> None:
        async with listening(answering(HELLO)) as endpoint:
            await sender.send(outbound(endpoint.url))

        (request,) = endpoint.received
        assert sorted(name.lower() for name, _ in request.headers) == [
            "accept",
            "content-length",
            "host",
            "user-agent",
        ]
        assert request.header("user-agent") == ["TaskMaster"]

    async def test_a_task_may_name_itself(self, sender: Sender) -> None:
        headers = (("User-Agent", "mine"), ("Accept", "text/plain"))
        async with listening(answering(HELLO)) as endpoint:
            await sender.send(outbound(endpoint.url, headers=headers))

        (request,) = endpoint.received
        assert request.header("user-agent") == ["mine"]
        assert request.header("accept") == ["text/plain"]

    @pytest.mark.parametrize(
        ("method", "length"),
        [("POST", ["0"]), ("PUT", ["0"]), ("PATCH", ["0"]), ("GET", []), ("DELETE", [])],
    )
    async def test_an_empty_body_is_announced_where_one_is_expected(
        self, sender: Sender, method: str, length: list[str]
    ) -> None:
        async with listening(answering(HELLO)) as endpoint:
            await sender.send(outbound(endpoint.url, method=method, body=b""))

        assert endpoint.received[0].header("content-length") == length

    @pytest.mark.parametrize(
        "path",
        [
            "/a%20b%2Fc%zz;d=e/~f?x=%41&y=[1]|{2}'\"<>`^",
            "/é/😀?ü=ß",
            "/a/../b/./c",
            "/a//b/?",
            "?x",
            "",
        ],
    )
    async def test_what_the_guard_lets_pass_is_sent_as_its_parser_reads_it(
        self, sender: Sender, path: str
    ) -> None:
        """Both senders ask for the same, whatever their libraries think of quoting."""
        async with listening(answering(HELLO)) as endpoint:
            url = f"http://127.0.0.1:{endpoint.port}{path}"
            answer = await sender.send(outbound(url))

        expected = {
            "/a%20b%2Fc%zz;d=e/~f?x=%41&y=[1]|{2}'\"<>`^": (
                "/a%20b%2Fc%zz;d=e/~f?x=%41&y=[1]|{2}%27%22%3C%3E`^"
            ),
            "/é/😀?ü=ß": "/%C3%A9/%F0%9F%98%80?%C3%BC=%C3%9F",
            "/a/../b/./c": "/b/c",
            "/a//b/?": "/a//b/?",
            "?x": "/?x",
            "": "/",
        }[path]
        assert isinstance(answer, Responded)
        assert endpoint.received[0].line == f"POST {expected} HTTP/1.1"

    @pytest.mark.parametrize("status", [204, 304, 404, 410, 500])
    async def test_every_status_is_a_response(self, sender: Sender, status: int) -> None:
        head = f"HTTP/1.1 {status} Whatever\r\n".encode()
        length = b"" if status in {204, 304} else b"Content-Length: 0\r\n"
        async with listening(answering(head + length + b"\r\n")) as endpoint:
            answer = await sender.send(outbound(endpoint.url))

        assert isinstance(answer, Responded)
        assert answer.status == status

    @pytest.mark.parametrize(
        ("header", "expected"),
        [
            (b"Retry-After: 120", "120"),
            (b"retry-after: Wed, 21 Oct 2026 07:28:00 GMT", "Wed, 21 Oct 2026 07:28:00 GMT"),
            (b"Retry-After: 1000000000", "1000000000"),
            (b"Retry-After: \xff\xfe", None),
            (b"X: y", None),
        ],
    )
    async def test_retry_after_comes_as_it_was_sent(
        self, sender: Sender, header: bytes, expected: str | None
    ) -> None:
        response = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n" + header + b"\r\n\r\n"
        async with listening(answering(response)) as endpoint:
            answer = await sender.send(outbound(endpoint.url))

        assert isinstance(answer, Responded)
        assert (answer.status, answer.retry_after) == (503, expected)

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    async def test_a_redirect_is_not_followed(self, sender: Sender, status: int) -> None:
        async with listening(answering(HELLO)) as elsewhere:
            response = (
                f"HTTP/1.1 {status} Moved\r\nLocation: {elsewhere.url}\r\nContent-Length: 0\r\n\r\n"
            )
            async with listening(answering(response.encode())) as endpoint:
                answer = await sender.send(outbound(endpoint.url))

        assert isinstance(answer, Responded)
        assert answer.status == status
        assert elsewhere.connections == 0
        assert len(endpoint.received) == 1

    @pytest.mark.parametrize(
        "response",
        [
            b"HTTP/1.0 200 OK\r\n\r\nhello",
            b"HTTP/1.1 100 Continue\r\n\r\n" * 20 + b"HTTP/1.1 103 Early Hints\r\n\r\n" + HELLO,
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
            (
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                b"2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nX-Trailer: 1\r\n\r\n"
            ),
            b"HTTP/1.1 200 \xff\xfe\r\nX: \xff\r\nContent-Length: 5\r\n\r\nhello",
            HELLO + b"HTTP/1.1 500 What was never asked\r\n\r\n",
        ],
    )
    async def test_odd_but_valid_responses_are_understood(
        self, sender: Sender, response: bytes
    ) -> None:
        async with listening(after_request(writes(response))) as endpoint:
            answer = await sender.send(outbound(endpoint.url))

        assert isinstance(answer, Responded)
        assert (answer.status, answer.body) == (200, b"hello")

    async def test_ipv6_works(self, sender: Sender) -> None:
        async with listening(answering(HELLO), host="::1") as endpoint:
            answer = await sender.send(outbound(endpoint.url))

        assert isinstance(answer, Responded)
        assert endpoint.received[0].header("host") == [f"[::1]:{endpoint.port}"]

    async def test_many_at_once_each_get_their_own_answer(self, sender: Sender) -> None:
        def echoing(_: Endpoint) -> Behaviour:
            async def serve(reader: Reader, writer: Writer) -> None:
                while True:
                    body = (await receive(reader)).body
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
                    writer.write(body)

            return serve

        async with listening(echoing) as endpoint:
            bodies = [b"%d" % number for number in range(200)]
            answers = await asyncio.gather(
                *(sender.send(outbound(endpoint.url, body=body)) for body in bodies)
            )

        assert [a.body for a in answers if isinstance(a, Responded)] == bodies

    # --- bodies without end or measure ---

    @pytest.mark.parametrize(("size", "truncated"), [(16383, False), (16384, False), (16385, True)])
    async def test_a_body_is_kept_to_16_kib(
        self, sender: Sender, size: int, truncated: bool
    ) -> None:
        body = bytes(range(256)) * 65
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size
        async with listening(answering(head + body[:size])) as endpoint:
            answer = await sender.send(outbound(endpoint.url))

        assert isinstance(answer, Responded)
        assert answer.body == body[: min(size, 16384)]
        assert answer.truncated is truncated

    async def test_an_endless_body_is_left(self, sender: Sender) -> None:
        flood = repeats(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65536)
        async with listening(after_request(flood)) as endpoint:
            answer = await sender.send(outbound(endpoint.url))
            await until(endpoint.hung_up.is_set)

        assert isinstance(answer, Responded)
        assert (answer.body, answer.truncated) == (b"x" * 16384, True)

    async def test_nothing_is_unpacked(self, sender: Sender) -> None:
        bomb = gzip.compress(bytes(10_000_000))
        head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
        async with listening(answering(head % len(bomb) + bomb)) as endpoint:
            answer = await sender.send(outbound(endpoint.url))

        assert isinstance(answer, Responded)
        assert answer.body == bomb[:16384]

    # --- certainly not delivered ---

    async def test_a_closed_port_is_refused(self, sender: Sender) -> None:
        url = f"http://127.0.0.1:{closed_port()}/?token=secret"

        assert trouble(await sender.send(outbound(url))) == "refused"

    @pytest.mark.slow
    async def test_a_connection_that_never_comes_is_no_uncertainty(self, sender: Sender) -> None:
        async with never_accepting() as url:
            began = time.monotonic()
            answer = await sender.send(outbound(url, timeout_ns=600 * MILLISECOND))

        assert trouble(answer) == "connect_timeout"
        assert time.monotonic() - began < 0.8

    async def test_an_unknown_name_is_a_dns_failure(self, sender: Sender) -> None:
        assert trouble(await sender.send(outbound("http://nope.test/?token=secret"))) == "dns"

    @pytest.mark.slow
    async def test_a_resolver_that_hangs_ends_with_the_attempt(
        self, make: Callable[..., Sender]
    ) -> None:
        async def lookup(_: Target) -> list[str]:
            await asyncio.sleep(60)
            return []

        began = time.monotonic()
        answer = await make(lookup=lookup).send(
            outbound("http://slow.test/?token=secret", timeout_ns=300 * MILLISECOND)
        )

        assert trouble(answer) == "dns"
        assert 0.29 < time.monotonic() - began < 0.6

    @pytest.mark.parametrize("behaviour", [hangs_up, resets, writes(b"HTTP/1.1 400 Bad\r\n\r\n")])
    async def test_a_broken_handshake_is_no_uncertainty(
        self, sender: Sender, behaviour: Behaviour
    ) -> None:
        async def after_the_hello(reader: Reader, writer: Writer) -> None:
            await reader.read(4096)
            await behaviour(reader, writer)

        async with listening(at_once(after_the_hello)) as endpoint:
            answer = await sender.send(outbound(endpoint.url.replace("http:", "https:")))

        assert trouble(answer) == "tls"

    @pytest.mark.slow
    async def test_a_hanging_handshake_is_no_uncertainty(self, sender: Sender) -> None:
        async with listening(at_once(writes_and_hangs(b""))) as endpoint:
            url = endpoint.url.replace("http:", "https:")
            answer = await sender.send(outbound(url, timeout_ns=600 * MILLISECOND))

        assert trouble(answer) == "connect_timeout"

    async def test_a_cipher_of_the_past_is_a_tls_failure(self, make: Callable[..., Sender]) -> None:
        authority = Authority()
        async with listening(answering(HELLO), tls=authority.of_the_past()) as endpoint:
            sender = make(roots_pem=authority.roots_pem)
            answer = await sender.send(outbound(endpoint.url_of("hook.test")))

        assert trouble(answer) == "tls"
        assert not endpoint.received

    # --- certificates ---

    async def test_a_certificate_is_checked_for_the_name_at_the_pinned_address(
        self, make: Callable[..., Sender]
    ) -> None:
        authority = Authority()
        async with listening(answering(HELLO), tls=authority.server()) as endpoint:
            sender = make(roots_pem=authority.roots_pem)
            answer = await sender.send(outbound(endpoint.url_of("hook.test")))

        assert isinstance(answer, Responded)
        assert endpoint.received[0].header("host") == [f"hook.test:{endpoint.port}"]

    @pytest.mark.parametrize("fault", ["expired", "wrong name", "unknown authority"])
    async def test_a_bad_certificate_is_named_and_nothing_is_sent(
        self, make: Callable[..., Sender], fault: str
    ) -> None:
        authority = Authority()
        match fault:
            case "expired":
                tls = authority.expired()
            case "wrong name":
                tls = authority.server("other.test")
            case _:
                tls = Authority().server()
        async with listening(answering(HELLO), tls=tls) as endpoint:
            sender = make(roots_pem=authority.roots_pem)
            answer = await sender.send(outbound(endpoint.url_of("hook.test")))

        assert trouble(answer) == "certificate"
        assert not endpoint.received

    # --- uncertain ---

    @pytest.mark.parametrize(
        "behaviour",
        [
            pytest.param(hangs_up, id="hangs up"),
            pytest.param(resets, id="resets"),
            pytest.param(writes(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab"), id="cut"),
            pytest.param(
                writes_and_resets(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab"),
                id="cut by reset",
            ),
            pytest.param(writes(b"HTTP/1.1 200 OK\r\nContent-L"), id="cut in the head"),
            pytest.param(
                writes(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nab"),
                id="no chunk",
            ),
            pytest.param(writes(b"hello\r\n\r\n"), id="HTTP/0.9"),
            pytest.param(writes(b"SSH-2.0-OpenSSH_9.2\r\n"), id="another protocol"),
            pytest.param(writes(b"\x00\xff" * 500 + b"\r\n\r\n"), id="noise"),
            pytest.param(
                writes(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc"),
                id="two lengths",
            ),
            pytest.param(
                writes(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"), id="negative length"
            ),
            pytest.param(repeats(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 1000), id="endless head"),
            pytest.param(repeats(b"HTTP/1.1 200 OK\r\nX: ", b"y" * 65536), id="endless header"),
        ],
    )
    async def test_a_connection_lost_after_the_request_is_uncertain(
        self, sender: Sender, behaviour: Behaviour
    ) -> None:
        async with listening(after_request(behaviour)) as endpoint:
            answer = await sender.send(outbound(endpoint.url))

        assert trouble(answer) == "reset"
        assert len(endpoint.received) == 1

    @pytest.mark.slow
    @pytest.mark.parametrize(
        "behaviour",
        [
            pytest.param(writes_and_hangs(b""), id="no head"),
            pytest.param(writes_and_hangs(b"HTTP/1.1 200 OK\r\n"), id="half a head"),
            pytest.param(
                writes_and_hangs(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab"),
                id="half a body",
            ),
            pytest.param(
                writes_and_hangs(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"),
                id="no trailer",
            ),
            pytest.param(
                repeats(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n", pause_s=0.05), id="head drips"
            ),
            pytest.param(repeats(b"HTTP/1.1 200 OK\r\n\r\n", b"x", pause_s=0.05), id="body drips"),
            pytest.param(
                repeats(b"", b"HTTP/1.1 100 Continue\r\n\r\n", pause_s=0.01), id="1xx for ever"
            ),
        ],
    )
    async def test_an_attempt_ends_at_its_time_over_everything(
        self, sender: Sender, behaviour: Behaviour
    ) -> None:
        """Not at a time between two reads, which a drip would pass."""
        async with listening(after_request(behaviour)) as endpoint:
            began = time.monotonic()
            answer = await sender.send(outbound(endpoint.url, timeout_ns=400 * MILLISECOND))
            took_s = time.monotonic() - began
            await until(endpoint.hung_up.is_set)

        assert trouble(answer) == "timeout"
        assert 0.35 < took_s < 0.7

    async def test_a_request_that_nobody_reads_ends_at_its_time(self, sender: Sender) -> None:
        async def reads_nothing(_: Reader, __: Writer) -> None:
            await asyncio.sleep(60)  # beyond its buffers the other side's writing stops

        async with listening(at_once(reads_nothing)) as endpoint:
            answer = await sender.send(
                outbound(endpoint.url, body=bytes(50_000_000), timeout_ns=200 * MILLISECOND)
            )

        assert trouble(answer) == "timeout"

    # --- sent once ---

    @pytest.mark.parametrize("method", ["POST", "GET", "PUT"])
    @pytest.mark.parametrize("ending", [hangs_up, resets])
    async def test_a_request_is_sent_once_when_its_reused_connection_dies(
        self, sender: Sender, method: str, ending: Behaviour
    ) -> None:
        """The connection answers one request, reads the second and dies."""

        def behaviour(endpoint: Endpoint) -> Behaviour:
            async def serve(reader: Reader, writer: Writer) -> None:
                endpoint.received.append(await receive(reader))
                writer.write(HELLO)
                endpoint.received.append(await receive(reader))
                await ending(reader, writer)

            return serve

        async with listening(behaviour) as endpoint:
            first = await sender.send(outbound(endpoint.url, method=method, body=b""))
            second = await sender.send(outbound(endpoint.url, method=method, body=b""))

        assert isinstance(first, Responded)
        assert trouble(second) == "reset"
        assert len(endpoint.received) == 2
        assert endpoint.connections == 1

    async def test_a_connection_that_closed_while_idle_is_not_used(self, sender: Sender) -> None:
        async with listening(after_request(writes(HELLO))) as endpoint:
            for count in (1, 2, 3):
                answer = await sender.send(outbound(endpoint.url))
                assert isinstance(answer, Responded)
                assert len(endpoint.received) == count
                await asyncio.sleep(0.02)  # the end of the connection has arrived

        assert endpoint.connections == 3

    @pytest.mark.slow
    async def test_a_cancelled_send_comes_back_at_once_and_ends_by_its_time(
        self, sender: Sender
    ) -> None:
        async with listening(after_request(writes_and_hangs(b""))) as endpoint:
            request = outbound(endpoint.url, timeout_ns=400 * MILLISECOND)
            sending = asyncio.create_task(sender.send(request))
            await until(lambda: endpoint.received)
            began = time.monotonic()
            sending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await sending
            assert time.monotonic() - began < 0.2
            await until(endpoint.hung_up.is_set)

        assert len(endpoint.received) == 1

    async def test_closing_answers_what_waits(self, make: Callable[..., Sender]) -> None:
        async with listening(after_request(writes_and_hangs(b""))) as endpoint:
            sender = make()
            sending = asyncio.create_task(sender.send(outbound(endpoint.url)))
            await until(lambda: endpoint.received)
            await sender.close()
            async with asyncio.timeout(2):
                answer = await sending

        assert trouble(answer) == "reset"

    # --- the guard ---

    @pytest.mark.parametrize(
        "variable", ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"]
    )
    async def test_proxies_of_the_environment_are_ignored(
        self, make: Callable[..., Sender], monkeypatch: pytest.MonkeyPatch, variable: str
    ) -> None:
        async with (
            listening(answering(HELLO)) as proxy,
            listening(answering(HELLO)) as endpoint,
        ):
            monkeypatch.setenv(variable, f"http://127.0.0.1:{proxy.port}")
            monkeypatch.delenv("NO_PROXY", raising=False)
            monkeypatch.delenv("no_proxy", raising=False)
            sender = make()
            await sender.send(outbound(endpoint.url))
            await sender.send(outbound(endpoint.url_of("hook.test")))

        assert proxy.connections == 0
        assert len(endpoint.received) == 2

    @pytest.mark.parametrize(
        "host",
        ["127.0.0.1", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]", "\uff11\uff12\uff17.0.0.1"],
    )
    async def test_a_forbidden_address_is_refused_before_anything_is_sent(
        self, make: Callable[..., Sender], host: str
    ) -> None:
        async with listening(answering(HELLO)) as endpoint:
            sender = make(rules=EgressRules())
            answer = await sender.send(outbound(f"http://{host}:{endpoint.port}/?token=secret"))

        assert trouble(answer) == "egress"
        assert endpoint.connections == 0

    @pytest.mark.parametrize("answers", [("127.0.0.1",), ("93.184.215.14", "127.0.0.1")])
    async def test_a_name_is_refused_when_any_of_its_addresses_is(
        self, make: Callable[..., Sender], answers: tuple[str, ...]
    ) -> None:
        async with listening(answering(HELLO)) as endpoint:
            sender = make(answers, rules=EgressRules())
            answer = await sender.send(outbound(endpoint.url_of("hook.test")))

        assert trouble(answer) == "egress"
        assert endpoint.connections == 0

    async def test_a_rebinding_name_reaches_only_what_was_judged(
        self, make: Callable[..., Sender]
    ) -> None:
        """The resolver's second answer is another address: the first one is what is called."""
        asked = 0

        async def lookup(_: Target) -> list[str]:
            nonlocal asked
            asked += 1
            return ["127.0.0.2"] if asked == 1 else ["127.0.0.1"]

        allowed = EgressRules(allow=(ip_network("127.0.0.2/32"),))
        async with (
            listening(answering(HELLO), host="127.0.0.2") as endpoint,
            listening(answering(HELLO), host="127.0.0.1") as forbidden,
        ):
            sender = make(rules=allowed, lookup=lookup)
            answers = [await sender.send(outbound(endpoint.url_of("hook.test"))) for _ in range(3)]
            await sender.send(outbound(forbidden.url_of("hook.test")))

        assert all(isinstance(answer, Responded) for answer in answers)
        assert forbidden.connections == 0
        assert asked == 1

    async def test_a_name_with_a_dead_address_is_called_at_its_next_one(
        self, make: Callable[..., Sender]
    ) -> None:
        async with listening(answering(HELLO)) as endpoint:
            sender = make(("127.0.0.9", "127.0.0.1"))
            first = await sender.send(outbound(endpoint.url_of("hook.test")))
            second = await sender.send(outbound(endpoint.url_of("hook.test")))
            third = await sender.send(outbound(endpoint.url_of("hook.test")))

        assert trouble(first) == "refused"
        assert isinstance(second, Responded)
        assert isinstance(third, Responded)
