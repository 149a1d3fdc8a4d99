"""The gateway as a process, as a client's machine has it."""

import os
import subprocess

import openai

from processes import BINARY, CLIENTS, GATEWAY_LISTENS, MASTER_KEY, PATIENCE_S
from test_chat import ask


def test_output_that_nobody_reads_any_more(connect, providers):
    """A pipe that is closed costs the output, not the service, and not its orderly end."""
    addresses = {f"{name.upper()}_MOCK": it.address for name, it in providers.items()}
    command = [BINARY, "serve", "--config", str(CLIENTS / "gateway.yaml"), "--port", "0"]
    gateway = subprocess.Popen(
        [*command, "--host", "127.0.0.1"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **addresses, "NO_COLOR": "1", "MASTER_KEY": MASTER_KEY},
        text=True,
    )
    try:
        listening = next(filter(None, map(GATEWAY_LISTENS.search, gateway.stderr)))
        gateway.stdout.close()
        gateway.stderr.close()
        client = connect(openai.OpenAI, base_url=f"http://{listening.group(1)}/v1")
        for _ in range(3):
            assert client.chat.completions.create(model="gpt", messages=ask()).choices
        gateway.terminate()
        assert gateway.wait(PATIENCE_S) == 0
    finally:
        gateway.kill()
        gateway.wait()
