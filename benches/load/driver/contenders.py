"""What is compared: how each contender is configured and started, all for the same upstream."""

import json
import os
import shutil
import subprocess
from pathlib import Path

from .processes import LOOPBACK, Running, StartFailure, free_port, wait_until_it_answers

# As many threads or workers as the machine this benchmark was made for has cores.
WORKERS = 2
KEY = "sk-bench-5f0c2d7e91a84b36"
LOG_BYTES_MAX = 64 << 20


class Contender:
    """One way from the client to the upstream."""

    name = ""
    start_seconds = 10
    # LiteLLM answers tens of requests per second: it is spared what it cannot finish in time.
    connections_max = 1 << 20
    constant_rate = True

    def __init__(self, upstream_port, folder):
        self.upstream_port = upstream_port
        self.folder = Path(folder) / self.name
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = None
        self.running = None

    def absent(self):
        """Why this contender cannot take part; None if it can."""
        return None

    def command(self):
        raise NotImplementedError

    def env(self):
        return {}

    def binary(self):
        """The executable whose size is of interest."""
        return None

    def version(self):
        return ""

    def start(self):
        """Starts it on a fresh port; the milliseconds to its first answered request."""
        self.port = free_port()
        self.running = Running(self.name, self.command(), self.folder / "output.log", self.env())
        try:
            return wait_until_it_answers(self.running, self.port, KEY, self.start_seconds)
        except StartFailure:
            self.stop()
            raise

    def stop(self):
        if self.running:
            self.running.stop()
            self.running = None

    def trim_logs(self):
        """Keeps the access log from filling the disk. All contenders open it for appending."""
        log = self.folder / "access.log"
        if log.exists() and log.stat().st_size > LOG_BYTES_MAX:
            os.truncate(log, 0)


class Direct(Contender):
    """No proxy: what client and upstream cost by themselves."""

    name = "direct"

    def start(self):
        self.port = self.upstream_port
        return None


class Nginx(Contender):
    name = "nginx"

    def absent(self):
        return None if self.binary() else "not installed (apt-get install nginx-light)"

    def binary(self):
        found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
        return Path(found) if found else None

    def version(self):
        answer = subprocess.run([self.binary(), "-v"], capture_output=True, text=True, check=False)
        return answer.stderr.strip().rpartition("/")[2]

    def command(self):
        path = self.folder / "nginx.conf"
        path.write_text(self.configuration())
        return [self.binary(), "-p", self.folder, "-c", path, "-e", self.folder / "error.log"]

    def configuration(self):
        # A worker that starts as root becomes nobody, who may not enter the folder of this run.
        user = "user root;" if os.geteuid() == 0 else ""
        folder = self.folder
        return f"""{user}
daemon off;
worker_processes {WORKERS};
worker_rlimit_nofile 16384;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 8192; }}
http {{
    access_log {folder}/access.log combined;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    tcp_nodelay on;
    keepalive_timeout 300s;
    keepalive_requests 100000000;
    client_max_body_size 64m;
    # Prompts stay in memory: with the usual 16 KB every long one would pass through a file.
    client_body_buffer_size 1m;
    upstream provider {{
        server {LOOPBACK}:{self.upstream_port};
        keepalive 1024;
        keepalive_requests 100000000;
        keepalive_timeout 300s;
    }}
    server {{
        listen {LOOPBACK}:{self.port} backlog=4096;
        location / {{
            proxy_pass http://provider;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            # Streams have to pass as they come; JSON goes through the same location.
            proxy_buffering off;
            proxy_read_timeout 600s;
        }}
    }}
}}
"""


class EmptyPingora(Contender):
    name = "empty-pingora"

    def __init__(self, upstream_port, folder, binary):
        super().__init__(upstream_port, folder)
        self.path = Path(binary)

    def absent(self):
        return None if self.path.exists() else f"{self.path} is not built"

    def binary(self):
        return self.path

    def version(self):
        return "0.9.1"

    def command(self):
        listen, upstream = f"{LOOPBACK}:{self.port}", f"{LOOPBACK}:{self.upstream_port}"
        return [self.path, listen, upstream, WORKERS]


def gateway_configuration(upstream_port, access_log=None):
    """The file that Tollgate and LiteLLM read: a group of two deployments, prices, a master key."""
    deployment = {
        "model": "openai/bench",
        "api_base": f"http://{LOOPBACK}:{upstream_port}/v1",
        "api_key": "sk-upstream",
        "input_cost_per_token": 1.5e-07,
        "output_cost_per_token": 6e-07,
    }
    settings = {"model_list": None, "general_settings": {"master_key": KEY}}
    if access_log:
        settings["litellm_settings"] = {"log_to_file": True, "log_file_path": str(access_log)}
    models = [
        {"model_name": "bench", "litellm_params": deployment, "model_info": {"id": f"bench-{at}"}}
        for at in (1, 2)
    ]
    # JSON is YAML, and needs no library to write.
    return json.dumps(settings | {"model_list": models}, indent=2)


class Tollgate(Contender):
    """The gateway with key check, routing, usage, cost, metrics and access log on."""

    name = "tollgate"

    def __init__(self, upstream_port, folder, binary):
        super().__init__(upstream_port, folder)
        self.path = Path(binary)

    def absent(self):
        return None if self.path.exists() else f"{self.path} is not built"

    def binary(self):
        return self.path

    def version(self):
        answer = subprocess.run(
            [self.path, "--version"], capture_output=True, text=True, check=False, timeout=10
        )
        return answer.stdout.strip()

    def command(self):
        config = self.folder / "tollgate.yaml"
        config.write_text(gateway_configuration(self.upstream_port, self.folder / "access.log"))
        options = ["--host", LOOPBACK, "--port", self.port, "--num_workers", WORKERS]
        return [self.path, "serve", "--config", config, *options]


class LiteLlm(Contender):
    name = "litellm"
    start_seconds = 120
    connections_max = 128
    constant_rate = False

    def __init__(self, upstream_port, folder, venv):
        super().__init__(upstream_port, folder)
        self.path = Path(venv) / "bin" / "litellm" if venv else Path(shutil.which("litellm") or "-")

    def absent(self):
        return None if self.path.exists() else "not installed (--litellm PATH_TO_VENV)"

    def version(self):
        python = self.path.with_name("python")
        code = "import importlib.metadata as m; print(m.version('litellm'))"
        answer = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
        return answer.stdout.strip()

    def env(self):
        # Nothing is fetched from the internet at start, and nothing but errors is logged.
        return {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"}

    def command(self):
        config = self.folder / "litellm.yaml"
        config.write_text(gateway_configuration(self.upstream_port))
        options = ["--config", config, "--host", LOOPBACK, "--port", self.port]
        return [self.path, *options, "--num_workers", WORKERS, "--telemetry", "False"]
