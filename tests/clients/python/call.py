"""What every Python client here shares: the call it makes and the one JSON line it prints.

The paying itself is never here: each program leaves it to the published package it is named after.
"""

import base64
import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from eth_account import Account

try:
    GATEWAY = os.environ["GATEWAY"].rstrip("/")
    MODEL = os.environ["MODEL"]
    ACCOUNT = Account.from_key(os.environ["PAYER_KEY"])
    MODE, PROMPT = sys.argv[1:3]
    if MODE not in ("whole", "stream", "mixed"):
        raise ValueError(MODE)
except (KeyError, ValueError):
    sys.exit(
        "usage: GATEWAY=URL PAYER_KEY=0x… MODEL=… [RPC=URL] "
        "[SCHEMES=exact,upto,batch-settlement] program whole|stream PROMPT"
    )

URL = f"{GATEWAY}/v1/chat/completions"
STREAMED = MODE == "stream"


def body_of(streamed: bool, number: int | None = None) -> dict[str, Any]:
    """The call, for programs that make many of them, both ways (`mixed`); `number` tells them apart."""
    body: dict[str, Any] = {
        "model": MODEL,
        "messages": [{"role": "user", "content": PROMPT if number is None else f"{PROMPT} {number}"}],
        "max_tokens": 16,
    }
    if streamed:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return body


BODY = body_of(STREAMED)


class Answer:
    """Text and usage, gathered from one whole completion or from its chunks."""

    def __init__(self) -> None:
        self.text = ""
        self.usage: dict[str, Any] | None = None

    def add(self, completion: Mapping[str, Any]) -> None:
        if completion.get("error"):
            raise RuntimeError(f"the gateway reported: {completion['error']}")
        for choice in (completion.get("choices") or [])[:1]:
            part = choice.get("message") or choice.get("delta") or {}
            self.text += part.get("content") or ""
        self.usage = completion.get("usage") or self.usage

    def add_lines(self, lines: Iterable[str]) -> None:
        """Reads server-sent events, which have to end with `[DONE]`."""
        done = False
        for line in lines:
            data = line.removeprefix("data:").strip() if line.startswith("data:") else ""
            if data == "[DONE]":
                done = True
            elif data:
                self.add(json.loads(data))
        if not done:
            raise RuntimeError("the stream ended without [DONE]")


def report(client: str, status: int, headers: Mapping[str, str], answer: Answer) -> None:
    """Prints the report line; `headers` looks names up whatever their case."""
    payment = headers.get("payment-response") or headers.get("x-payment-response")
    receipt = headers.get("payment-receipt")
    print(
        json.dumps(
            {
                "client": client,
                "status": status,
                "text": answer.text,
                "usage": answer.usage,
                "payment_response": json.loads(base64.b64decode(payment)) if payment else None,
                "payment_receipt": json.loads(base64.urlsafe_b64decode(receipt + "==")) if receipt else None,
                "call_id": headers.get("groat-call-id"),
            }
        )
    )


def run(client: str, call: Callable[[], None]) -> None:
    """Runs a client to its end: any failure is one line on standard error and exit code 1."""
    try:
        call()
    except Exception as error:  # a test program's outermost edge: whatever failed is the report
        reasons = []
        while error:
            reasons.append(f"{type(error).__name__}: {error}")
            error = error.__cause__
        sys.exit(f"{client}: {'; because of '.join(reasons)}")
