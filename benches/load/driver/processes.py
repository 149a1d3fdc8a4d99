"""Processes that are started, watched through /proc and stopped. Knows nothing of benchmarks."""

import http.client
import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

LOOPBACK = "127.0.0.1"
STOP_SECONDS = 5
TICK_US = 1_000_000 // os.sysconf("SC_CLK_TCK")


class StartFailure(Exception):
    """A process did not come up; the text says why."""


def free_port():
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return probe.getsockname()[1]


class Running:
    """A process and its children, in a group of its own, with its output in a file."""

    def __init__(self, name, command, log, env=None):
        self.name, self.log = name, Path(log)
        self.started = time.monotonic()
        with open(self.log, "ab") as output:
            self.process = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **(env or {})},
                start_new_session=True,
            )

    def alive(self):
        return self.process.poll() is None

    def stop(self):
        """Asks the process to end, then ends its whole group; waits in either case."""
        if self.alive():
            self.process.terminate()
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                pass
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()

    def last_words(self):
        text = self.log.read_text(errors="replace").strip()
        return text[-400:] if text else "no output"

    def pids(self):
        """The process and all that descend from it: workers do the work of some contenders."""
        parents = {}
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                try:
                    stat = Path(f"/proc/{entry}/stat").read_text()
                except OSError:
                    continue
                parents[int(entry)] = int(stat.rpartition(")")[2].split()[1])
        family = [self.process.pid]
        for pid in family:
            family.extend(child for child, parent in parents.items() if parent == pid)
        return family

    def cpu_us(self):
        return sum(cpu_us(pid) for pid in self.pids())

    def rss_kb(self):
        return sum(status_kb(pid, "VmRSS") for pid in self.pids())

    def peak_rss_kb(self):
        return sum(status_kb(pid, "VmHWM") for pid in self.pids())


def cpu_us(pid):
    """CPU time of a process in microseconds.

    From schedstat, which counts nanoseconds; /proc/PID/stat counts in steps of 10 ms, a tenth of
    what some rounds use in all. It is the fallback on kernels without schedstat.
    """
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
        spent = 0
        for task in tasks:
            text = Path(f"/proc/{pid}/task/{task}/schedstat").read_text()
            spent += int(text.split()[0])
        if spent:
            return spent / 1_000
    except OSError:
        pass
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return (int(fields[11]) + int(fields[12])) * TICK_US


def status_kb(pid, field):
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1])
    except OSError:
        pass
    return 0


def machine_busy_us():
    """CPU time that all processes of the machine have used, and what the hypervisor took away."""
    fields = [int(v) for v in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    user, nice, system, _idle, _iowait, irq, softirq, steal = fields
    return (user + nice + system + irq + softirq) * TICK_US, steal * TICK_US


def chat(port, key, timeout=5):
    """One small chat completion; the status and the body's text, or an OSError."""
    body = json.dumps({"model": "bench", "messages": [{"role": "user", "content": "hello"}]})
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=timeout)
    try:
        connection.request(
            "POST",
            "/v1/chat/completions",
            body,
            {"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
        )
        reply = connection.getresponse()
        return reply.status, reply.read().decode(errors="replace")
    except http.client.HTTPException as error:
        raise OSError(str(error)) from error
    finally:
        connection.close()


def wait_until_it_answers(running, port, key, seconds):
    """Sends a chat completion until one is answered; the milliseconds since the start."""
    answer = "nothing listens"
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not running.alive():
            code = running.process.returncode
            raise StartFailure(f"ended with {code} before it answered: {running.last_words()}")
        try:
            status, answer = chat(port, key)
            if status == 200:
                return (time.monotonic() - running.started) * 1_000
        except OSError:
            pass
        time.sleep(0.0005)
    raise StartFailure(f"no answer within {seconds} s, last: {answer[:200]}")
