"""LiteLLM's proxy as it is published, in this process: one model name for all, passed on to UPSTREAM_URL."""

import os
import signal
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

# The price map comes with the package; otherwise it would be fetched at each start.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
os.environ["LITELLM_LOG"] = "ERROR"
os.environ["LITELLM_MODE"] = "PRODUCTION"

CONFIG = """
model_list:
  - model_name: "*"
    litellm_params:
      model: "openai/*"
      api_base: os.environ/BENCH_API_BASE
      api_key: unused
litellm_settings:
  telemetry: false
  num_retries: 0
general_settings:
  # It listens on loopback, and a key to check would be work that is no part of forwarding.
  dangerously_permit_weak_or_unset_master_key: true
  disable_spend_logs: true
  disable_error_logs: true
"""


def main():
    port = os.environ["PORT"]
    os.environ["BENCH_API_BASE"] = os.environ["UPSTREAM_URL"] + "/v1"
    harness = take_output()
    threading.Thread(target=leash, daemon=True).start()
    threading.Thread(target=say_ready, args=(harness, port), daemon=True).start()
    from litellm import run_server

    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as config:
        config.write(CONFIG)
        config.flush()
        # A worker for each core, as its own guide advises.
        workers = str(os.cpu_count())
        sys.argv = ["litellm", "--config", config.name, "--host", "127.0.0.1", "--port", port, "--num_workers", workers]
        run_server()


def take_output():
    """Drops what the proxy prints: the harness reads `ready` from standard output, and errors go to standard error."""
    harness = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return harness


def leash():
    """Ends the process and its workers with their owner, so that a killed harness leaves nothing behind."""
    while os.read(0, 4096):
        pass
    os.killpg(0, signal.SIGKILL)


def say_ready(harness, port):
    """Waits until the proxy answers: it has nothing that says so."""
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/liveliness", timeout=5):
                break
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    print("ready", file=harness)


if __name__ == "__main__":
    main()
