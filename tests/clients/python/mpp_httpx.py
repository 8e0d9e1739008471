"""`pympp` by its own httpx client: MPP's `evm/charge`, of USDC on Base Sepolia."""

import asyncio

from mpp.client import Mpp
from mpp.methods.evm import BASE_SEPOLIA_USDC
from mpp.methods.evm import client as evm

from call import ACCOUNT, BODY, STREAMED, URL, Answer, report, run

CLIENT = "mpp-httpx"


async def call() -> None:
    method = evm.charge(currency=BASE_SEPOLIA_USDC, account=ACCOUNT)
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
