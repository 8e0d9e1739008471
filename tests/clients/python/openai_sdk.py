"""The official openai package, told nothing but which http client to use and where the gateway is."""

import asyncio

from openai import AsyncOpenAI
from x402.http.clients.httpx import wrapHttpxWithPaymentFromConfig

from call import BODY, GATEWAY, STREAMED, Answer, report, run
from schemes import config

CLIENT = "openai-sdk-python"


async def call() -> None:
    async with wrapHttpxWithPaymentFromConfig(config(), timeout=120) as http:
        openai = AsyncOpenAI(
            base_url=f"{GATEWAY}/v1", api_key="unused", http_client=http
        )
        raw = await openai.chat.completions.with_raw_response.create(**BODY)
        completion = raw.parse()
        answer = Answer()
        if STREAMED:
            async for chunk in completion:
                answer.add(chunk.model_dump())
        else:
            answer.add(completion.model_dump())
        report(CLIENT, raw.status_code, raw.headers, answer)


run(CLIENT, lambda: asyncio.run(call()))
