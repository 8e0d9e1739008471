"""The published x402 adapter for requests."""

import requests
from x402.http.clients.requests import wrapRequestsWithPaymentFromConfig

from call import BODY, STREAMED, URL, Answer, report, run
from schemes import config

CLIENT = "x402-requests"


def call() -> None:
    session = wrapRequestsWithPaymentFromConfig(requests.Session(), config())
    response = session.post(URL, json=BODY, stream=STREAMED)
    if response.status_code != 200:
        raise RuntimeError(f"HTTP {response.status_code}: {response.text}")
    answer = Answer()
    if STREAMED:
        answer.add_lines(line.decode() for line in response.iter_lines())
    else:
        answer.add(response.json())
    report(CLIENT, response.status_code, response.headers, answer)


run(CLIENT, call)
