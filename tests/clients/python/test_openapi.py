"""Every management route, asked at random by its own description. What calls models is left out: its bodies
are the providers' and described by none.

No request may end in a 5xx but for one that says that the database is away, and every answer must be
as the description says.
"""

import os
import subprocess
import sys

import pytest

from processes import CLIENTS, MASTER_KEY, Gateway

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"

# The same requests in each run: a failure here is a failure everywhere.
SEED = 20261121
EXAMPLES = int(os.environ.get("TOLLGATE_OPENAPI_EXAMPLES", "20"))


@pytest.fixture
def alone(providers):
    """A gateway with a database of its own."""
    running = Gateway(CLIENTS / "gateway.yaml", providers)
    yield running
    assert running.stop() == 0


def test_the_routes_are_as_they_are_described(alone, tmp_path):
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{alone.url}/openapi.json"),
        *("--header", f"Authorization: Bearer {MASTER_KEY}"),
        *("--checks", CHECKS, "--phases", "examples,coverage,fuzzing,stateful"),
        *("--mode", "all", "--max-examples", str(EXAMPLES), "--seed", str(SEED)),
        *("--exclude-tag", "inference"),
        *("--suppress-health-check", "all", "--continue-on-failure", "--no-color"),
    ]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=1200)
    assert ended.returncode == 0, ended.stdout[-20_000:] + ended.stderr[-2_000:]
