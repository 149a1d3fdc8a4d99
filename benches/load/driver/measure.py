"""Measurements: one cell at a time, starts, open streams, the long run."""

import json
import os
import random
import statistics
import subprocess
import time
from dataclasses import dataclass

from .contenders import KEY
from .processes import LOOPBACK, Running, StartFailure, chat, machine_busy_us

KB = 1024


@dataclass(frozen=True)
class Cell:
    """One form of load."""

    kind: str  # json | sse | frames (sse, one write per frame at the upstream)
    prompt_bytes: int
    connections: int
    rate: int | None = None

    def label(self):
        load = f"{self.rate}/s" if self.rate else f"c={self.connections}"
        return f"{self.kind} {self.prompt_bytes // KB} KB {load}"

    def options(self):
        options = ["--connections", self.connections, "--prompt-bytes", self.prompt_bytes]
        options += ["--kind", "json" if self.kind == "json" else "sse"]
        if self.kind == "frames":
            options.append("--frame-by-frame")
        if self.rate:
            options += ["--rate", self.rate]
        return options


class Client:
    """Calls of the load generator."""

    def __init__(self, binary):
        self.binary = binary

    def command(self, mode, port, options):
        target = ["--target", f"{LOOPBACK}:{port}", "--key", KEY]
        return [str(word) for word in [self.binary, mode, *target, *options]]

    def start(self, mode, port, options):
        return subprocess.Popen(
            self.command(mode, port, options),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


class ClientFailure(Exception):
    """The load generator gave up; the text says why."""


def result_of(process):
    line = process.stdout.readline()
    if not line:
        process.wait()
        raise ClientFailure(process.stderr.read().strip() or f"ended with {process.returncode}")
    return json.loads(line)


def measure(client, upstream, contender, cell, seconds, warmup):
    """One cell on one contender: rates, latencies, and the CPU time all parties used for it."""
    options = [*cell.options(), "--seconds", seconds, "--warmup", warmup, "--handshake"]
    with client.start("load", contender.port, options) as process:
        try:
            if process.stdout.readline().strip() != "ready":
                process.wait()
                raise ClientFailure(process.stderr.read().strip())
            before, clock = cpu_of(contender, upstream), time.monotonic()
            process.stdin.write("go\n")
            process.stdin.flush()
            result = result_of(process)
            after, elapsed = cpu_of(contender, upstream), time.monotonic() - clock
        finally:
            process.kill()
    contender.trim_logs()
    proxy, provider, machine, stolen = (b - a for a, b in zip(before, after))
    done = max(result["complete"], 1)
    own = proxy + provider + result["client_cpu_us"]
    result |= {
        "cpu_us": proxy / done,
        "upstream_cpu_us": provider / done,
        "client_cpu_us": result["client_cpu_us"] / done,
        # Shares of the whole machine: what others took while this was measured.
        "others": max(machine - own, 0) / (elapsed * 1e6 * os.cpu_count()),
        "stolen": stolen / (elapsed * 1e6 * os.cpu_count()),
    }
    return result


def cpu_of(contender, upstream):
    proxy = contender.running.cpu_us() if contender.running else 0
    return (proxy, upstream.cpu_us(), *machine_busy_us())


def rounds(client, upstream, contenders, cells, plan, say):
    """All cells on all contenders, several times; yields a record for each measurement.

    The order is shuffled in every round, and the contenders of a cell follow each other directly:
    what changes on the machine in the course of minutes meets all of them.
    """
    for number in range(plan.rounds):
        for cell in random.sample(cells, len(cells)):
            able = [c for c in contenders if cell.connections <= c.connections_max]
            able = [c for c in able if c.constant_rate or not cell.rate]
            for contender in random.sample(able, len(able)):
                record = {"round": number, "contender": contender.name, **vars(cell)}
                try:
                    record |= measure(
                        client, upstream, contender, cell, plan.seconds, plan.warmup
                    )
                except ClientFailure as failure:
                    record["failure"] = str(failure)
                say(number, cell, contender, record)
                yield record


def starts(contender, times):
    """Milliseconds from the start of the process to its first answered request."""
    taken = []
    for _ in range(times):
        taken.append(contender.start())
        contender.stop()
    return taken


def streams(client, contender, count, seconds):
    """Memory of a fresh process before and while it holds `count` open streams."""
    contender.start()
    try:
        for _ in range(20):
            chat(contender.port, KEY)
        time.sleep(0.5)
        before = contender.running.rss_kb()
        options = ["--streams", count, "--seconds", seconds]
        with client.start("streams", contender.port, options) as process:
            try:
                opened = process.stdout.readline().split()
                if opened[:1] != ["open"]:
                    process.wait()
                    raise ClientFailure(process.stderr.read().strip())
                time.sleep(seconds / 2)
                held = contender.running.rss_kb()
                result = result_of(process)
            finally:
                process.kill()
        kb_each = (held - before) / max(int(opened[1]), 1)
        return result | {"before_kb": before, "held_kb": held, "kb_per_stream": kb_each}
    finally:
        contender.stop()


# The mixed run: short and long prompts, both kinds, clients that go away, and streams that stay.
SOAK_CLIENTS = (
    ("load", ["--kind", "json", "--connections", 4]),
    ("load", ["--kind", "sse", "--connections", 4]),
    ("load", ["--kind", "json", "--connections", 2, "--prompt-bytes", 100 * KB]),
    ("load", ["--kind", "sse", "--connections", 2, "--frame-by-frame"]),
    ("load", ["--kind", "sse", "--connections", 4, "--rate", 200, "--abandon-every", 4]),
    ("streams", ["--streams", 100]),
)


def soak(client, contender, minutes, say):
    """A mixed load for minutes, with the resident memory of every second."""
    seconds = minutes * 60
    contender.start()
    processes, samples = [], []
    try:
        time.sleep(1)
        idle = contender.running.rss_kb()
        for mode, options in SOAK_CLIENTS:
            options = [*options, "--seconds", seconds]
            processes.append(client.start(mode, contender.port, options))
        start = time.monotonic()
        while (at := time.monotonic() - start) < seconds:
            if not contender.running.alive():
                raise StartFailure(f"ended during the run: {contender.running.last_words()}")
            samples.append((at, contender.running.rss_kb()))
            contender.trim_logs()
            say(at, samples[-1][1])
            time.sleep(min(1, max(seconds - at, 0.01)))
        results = []
        for process in processes:
            lines = process.communicate(timeout=60)[0].strip().splitlines()
            results.append(json.loads(lines[-1]) if lines else {"failure": "no result"})
        time.sleep(2)
        return {
            "minutes": minutes,
            "idle_kb": idle,
            "after_kb": contender.running.rss_kb(),
            "peak_kb": contender.running.peak_rss_kb(),
            "kb_per_minute": slope(samples[len(samples) // 2 :]) * 60,
            "samples": samples,
            "clients": results,
        }
    finally:
        for process in processes:
            process.kill()
            process.wait()
        contender.stop()


def slope(samples):
    """Least squares: the rise of the memory per second."""
    if len(samples) < 2:
        return 0.0
    times, values = zip(*samples)
    return statistics.linear_regression(times, values).slope


def start_upstream(binary, port, folder):
    command = [binary, "--listen", f"{LOOPBACK}:{port}", "--report", 0]
    return Running("upstream", [*command, "--trickle-frames", 10_000], folder / "upstream.log")
