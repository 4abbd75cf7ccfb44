"""Both senders keep the promises of `tests/suites/sender.py`; what only one of them does."""

import asyncio
import subprocess
import sys

import pytest

from taskmaster.delivery.egress import Egress
from taskmaster.delivery.httpx_sender import HttpxSender
from taskmaster.delivery.reqwest_sender import ReqwestSender
from tests.suites.endpoints import after_request, listening, writes_and_hangs
from tests.suites.sender import LOOPBACK, SenderSuite, outbound, until


class TestReqwestSender(SenderSuite):
    sender_class = ReqwestSender


class TestHttpxSender(SenderSuite):
    sender_class = HttpxSender

    async def test_a_cancelled_send_is_aborted(self) -> None:
        """Not so pyreqwest: its request runs on until its time."""
        sender = HttpxSender(Egress(LOOPBACK))
        async with listening(after_request(writes_and_hangs(b""))) as endpoint:
            sending = asyncio.create_task(sender.send(outbound(endpoint.url)))
            await until(lambda: endpoint.received)
            sending.cancel()
            await until(endpoint.hung_up.is_set)
        await sender.close()


PROGRAM = """
import asyncio, sys, uvloop
from taskmaster.delivery.egress import Egress
from tests.suites.endpoints import HELLO, answering, listening
from tests.suites.sender import LOOPBACK, outbound, resolving
from taskmaster.delivery.{module} import {sender}

async def main():
    sender = {sender}(Egress(LOOPBACK), lookup=resolving(hook_test=("127.0.0.1",)))
    async with listening(answering(HELLO)) as endpoint:
        urls = [endpoint.url, endpoint.url_of("hook.test")] * 20
        sends = [asyncio.ensure_future(sender.send(outbound(url))) for url in urls]
        await asyncio.wait(sends, return_when=asyncio.FIRST_COMPLETED)
        await sender.close()
        for send in sends:
            await send

uvloop.run(main())
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "sender"),
    [("reqwest_sender", "ReqwestSender"), ("httpx_sender", "HttpxSender")],
)
def test_a_program_that_closes_its_sender_under_load_ends_in_order(
    module: str, sender: str
) -> None:
    """The library's thread must not meet an interpreter that is being torn down."""
    program = PROGRAM.format(module=module, sender=sender)
    for _ in range(10):
        ended = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, timeout=30, check=False
        )
        assert (ended.returncode, ended.stderr) == (0, b"")
