"""The binary as processes: scripted providers and the gateway before them."""

import atexit
import json
import os
import re
import subprocess
import tempfile
import threading
from pathlib import Path

BINARY = os.environ["TOLLGATE"]
CLIENTS = Path(__file__).resolve().parent.parent
MASTER_KEY = "sk-tollgate-client-tests-0123456789abcdef"

# For a machine that is busy with other things; usually everything is there at once.
PATIENCE_S = 30

PROVIDER_LISTENS = re.compile(r"listens on (http://\S+)")
GATEWAY_LISTENS = re.compile(r"listening address=(\S+)")


class Process:
    """A running `tollgate`, everything it prints, and the address it announced."""

    def __init__(self, *arguments, announces, env=None):
        self._lines = []
        self._changed = threading.Condition()
        self._open_pipes = 2
        self._process = subprocess.Popen(
            [BINARY, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "NO_COLOR": "1", **(env or {})},
            text=True,
            encoding="utf-8",
        )
        # Whatever happens to the tests: a process that has ended already is not harmed.
        atexit.register(self._process.kill)
        self._readers = [
            threading.Thread(target=self._collect, args=(pipe,), daemon=True)
            for pipe in (self._process.stdout, self._process.stderr)
        ]
        for reader in self._readers:
            reader.start()
        self.address = self.wait_for(announces.search).group(1)

    def _collect(self, pipe):
        for line in pipe:
            with self._changed:
                self._lines.append(line)
                self._changed.notify_all()
        with self._changed:
            self._open_pipes -= 1
            self._changed.notify_all()

    def wait_for(self, sought):
        """The first true value of `sought(line)` over the lines printed so far and to come."""
        seen = 0
        found = None

        def there():
            nonlocal seen, found
            while found is None and seen < len(self._lines):
                found = sought(self._lines[seen]) or None
                seen += 1
            return found is not None or self._open_pipes == 0

        with self._changed:
            self._changed.wait_for(there, PATIENCE_S)
            if found is None:
                raise AssertionError("not printed; the output was:\n" + "".join(self._lines))
        return found

    def stop(self):
        """SIGTERM, and the exit code."""
        self._process.terminate()
        try:
            code = self._process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise
        finally:
            for reader in self._readers:
                reader.join()
            self._process.stdout.close()
            self._process.stderr.close()
        return code


class Provider(Process):
    """A scripted provider; it speaks the dialect of the path it is asked under."""

    def __init__(self, script=CLIENTS / "provider.yaml"):
        super().__init__(
            "mock", "--port", "0", "--script", str(script), announces=PROVIDER_LISTENS
        )


class Gateway(Process):
    """The gateway on a configuration file."""

    def __init__(self, config, providers, **env):
        addresses = {f"{name.upper()}_MOCK": it.address for name, it in providers.items()}
        # What it keeps ends with it.
        self._state = tempfile.TemporaryDirectory()
        super().__init__(
            *("serve", "--config", str(config), "--host", "127.0.0.1", "--port", "0"),
            announces=GATEWAY_LISTENS,
            env={
                **addresses,
                "STATE_DIRECTORY": self._state.name,
                **env,
                "MASTER_KEY": MASTER_KEY,
            },
        )
        self.url = f"http://{self.address}"

    def stop(self):
        try:
            return super().stop()
        finally:
            self._state.cleanup()

    def access_log(self, request_id):
        """The access-log line of a request, once it is written."""

        def sought(line):
            if not line.startswith("{"):
                return None
            entry = json.loads(line)
            return entry if entry.get("request_id") == request_id else None

        return self.wait_for(sought)
