"""The official openai package lists and retrieves models, which nobody pays for."""

import json
import os
import sys

from openai import NotFoundError, OpenAI

try:
    GATEWAY = os.environ["GATEWAY"].rstrip("/")
    MODEL = os.environ["MODEL"]
except KeyError:
    sys.exit("usage: GATEWAY=URL MODEL=… program")

openai = OpenAI(base_url=f"{GATEWAY}/v1", api_key="unused")
try:
    openai.models.retrieve("nobody/knows")
    failed = None
except NotFoundError as error:
    failed = {"status": error.status_code, "code": error.code}
print(
    json.dumps(
        {
            "client": "openai-models-python",
            "listed": [model.model_dump() for model in openai.models.list()],
            "retrieved": openai.models.retrieve(MODEL).model_dump(),
            "failed": failed,
        }
    )
)
