"""`pympp` by its own httpx client: MPP's `tempo/charge`.

An environment of its own: what pays on Tempo and what pays by x402 need different releases of the same packages.
"""

import asyncio
import os
import sys
from pathlib import Path

from mpp.client import Mpp
from mpp.methods.tempo import TempoAccount
from mpp.methods.tempo import client as tempo

sys.path.append(str(Path(__file__).parent.parent / "python"))

from call import BODY, STREAMED, URL, Answer, report, run  # noqa: E402

CLIENT = "mpp-tempo"


async def call() -> None:
    account = TempoAccount.from_key(os.environ["PAYER_KEY"])
    method = tempo.charge(account=account, rpc_url=os.environ["RPC"])
    async with Mpp(methods=[method]) as mpp, mpp.client(timeout=60) as client:
        answer = Answer()
        async with client.stream("POST", URL, json=BODY) as response:
            if response.status_code != 200:
                raise RuntimeError(f"HTTP {response.status_code}: {await response.aread()!r}")
            if STREAMED:
                answer.add_lines([line async for line in response.aiter_lines()])
            else:
                await response.aread()
                answer.add(response.json())
        report(CLIENT, response.status_code, response.headers, answer)


run(CLIENT, lambda: asyncio.run(call()))
