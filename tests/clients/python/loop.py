"""The published x402 transport for httpx, paying by one scheme (SCHEMES; channels are kept in memory).

CALLS paid calls, whole and streamed in turn, AT_ONCE at a time (2); one that failed is made anew, but not with
GIVE_UP=1. Then, with REFUND=1, the client's own refund of its channel. It prints one line at its end:
{"client", "calls" (Groat-Call-Ids), "failed", "whole", "streamed", "refund" (the settlement, or null)}
"""

import asyncio
import base64
import json
import os
from typing import Any

import httpx
from x402.http.clients.httpx import wrapHttpxWithPaymentFromConfig

from call import GATEWAY, URL, Answer, body_of, run
from schemes import config

CLIENT = "loop-python"
AT_ONCE = int(os.environ.get("AT_ONCE", "2"))
GIVE_UP = bool(os.environ.get("GIVE_UP"))
FAILED_MAX = 20


class Loop:
    """What was asked for and what came of it."""

    def __init__(self, wanted: int) -> None:
        self.wanted = wanted
        self.begun = 0
        self.config = config()
        self.said: dict[str, Any] = {
            "client": CLIENT,
            "calls": [],
            "failed": [],
            "whole": 0,
            "streamed": 0,
            "refund": None,
        }

    async def run(self) -> dict[str, Any]:
        async with wrapHttpxWithPaymentFromConfig(self.config, timeout=120) as http:
            await asyncio.gather(*(self.work(http) for _ in range(AT_ONCE)))
        return self.said

    async def work(self, http: httpx.AsyncClient) -> None:
        """Calls until enough were answered: another is made for one that failed."""
        while self.begun < self.wanted:
            number = self.begun
            self.begun += 1
            try:
                await self.call(http, number)
            except Exception as error:  # whatever failed is reported
                self.wanted += 0 if GIVE_UP else 1
                self.said["failed"].append(f"{type(error).__name__}: {error} ({error.__cause__})")
                if len(self.said["failed"]) > FAILED_MAX:
                    raise RuntimeError(f"too many calls failed: {self.said['failed']}") from error
                await ready()

    async def call(self, http: httpx.AsyncClient, number: int) -> None:
        """One call, whole or streamed by its number."""
        streamed = number % 2 == 1
        async with http.stream("POST", URL, json=body_of(streamed, number)) as response:
            if response.status_code != 200:
                raise RuntimeError(f"HTTP {response.status_code}: {await reason_of(response)}")
            answer = Answer()
            if streamed:
                answer.add_lines([line async for line in response.aiter_lines()])
            else:
                await response.aread()
                answer.add(response.json())
        if not (answer.usage or {}).get("receipt"):
            raise RuntimeError("there is no receipt")
        self.said["calls"].append(response.headers.get("groat-call-id"))
        self.said["streamed" if streamed else "whole"] += 1


async def reason_of(response: httpx.Response) -> str:
    """What a refusal says: the challenge's own word, or the body."""
    required = response.headers.get("payment-required")
    if required:
        return str(json.loads(base64.b64decode(required)).get("error"))
    return (await response.aread()).decode()


async def ready() -> None:
    """Waits until the gateway answers again."""
    async with httpx.AsyncClient(timeout=120) as http:
        while True:
            try:
                if (await http.get(f"{GATEWAY}/readyz")).is_success:
                    return
            except httpx.HTTPError:
                pass
            await asyncio.sleep(0.02)


def main() -> None:
    loop = Loop(int(os.environ["CALLS"]))
    said = asyncio.run(loop.run())
    if os.environ.get("REFUND"):
        said["refund"] = loop.config.schemes[0].client.refund(URL).model_dump(by_alias=True)
    print(json.dumps(said))


run(CLIENT, main)
