"""The published x402 transport for httpx."""

import asyncio

from x402.http.clients.httpx import wrapHttpxWithPaymentFromConfig

from call import BODY, STREAMED, URL, Answer, report, run
from schemes import config

CLIENT = "x402-httpx"


async def call() -> None:
    async with wrapHttpxWithPaymentFromConfig(config(), timeout=120) as http:
        async with http.stream("POST", URL, json=BODY) as response:
            if response.status_code != 200:
                raise RuntimeError(f"HTTP {response.status_code}: {(await response.aread()).decode()}")
            answer = Answer()
            if STREAMED:
                answer.add_lines([line async for line in response.aiter_lines()])
            else:
                await response.aread()
                answer.add(response.json())
            report(CLIENT, response.status_code, response.headers, answer)


run(CLIENT, lambda: asyncio.run(call()))
