#!/usr/bin/env python3
"""Compares Tollgate with nginx, an empty Pingora proxy, LiteLLM and no proxy at all, in one run.

Everything runs on this machine and listens on 127.0.0.1; no other target can be named. See
README.md beside this file for what is measured and how to read it.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from driver.contenders import (
    KEY,
    Direct,
    EmptyPingora,
    LiteLlm,
    Nginx,
    Tollgate,
)
from driver.measure import (
    KB,
    Cell,
    Client,
    ClientFailure,
    rounds,
    soak,
    starts,
    start_upstream,
    streams,
)
from driver.processes import StartFailure, free_port, wait_until_it_answers
from driver.report import report, soak_report

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BUILT = HERE / "target" / "release"
RESULTS = ROOT / "target" / "load"
RATE = 3_000
# More than can be under way at that rate; a request never waits for a connection.
RATE_CONNECTIONS = 64
PARTS = ("sweep", "rate", "start", "streams")
NAMES = ("direct", "nginx", "empty-pingora", "tollgate", "litellm")


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    rounds: int
    seconds: float
    warmup: float
    starts: int
    streams: int
    hold: float
    sweep: tuple
    long_sweep: tuple
    frames: tuple


FULL = Plan(3, 2.0, 0.3, 5, 1_000, 6.0, (1, 16, 128, 1_000), (1, 64), (16,))
QUICK = Plan(1, 1.0, 0.2, 3, 1_000, 2.0, (1, 64), (16,), ())


def main():
    options = arguments()
    plan = QUICK if options.quick else FULL
    if not options.no_build:
        build()
    folder = RESULTS / f"run-{os.getpid()}"
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    upstream = start_upstream(BUILT / "upstream", port, folder)
    contenders = []
    try:
        wait_until_it_answers(upstream, port, KEY, 5)
        contenders, absent = chosen(options, port, folder)
        client = Client(BUILT / "client")
        if options.soak:
            return long_run(options, client, contenders)
        results = compare(options, plan, client, upstream, contenders, absent)
        print(report(results))
        print(f"\nresults: {save(results, 'compare')}")
        return 1 if wrong(options, results) else 0
    finally:
        for contender in contenders:
            contender.stop()
        upstream.stop()
        if not options.keep:
            shutil.rmtree(folder, ignore_errors=True)


def wrong(options, results):
    """A contender that was asked for is missing, or something was answered wrongly."""
    missing = any(name in results["absent"] for name in options.only or ())
    return missing or any(r.get("failure") or r["faults"] for r in results["records"])


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one short round, about a minute")
    parser.add_argument(
        "--tollgate",
        type=Path,
        default=ROOT / "target" / "release" / "tollgate",
        help="the gateway's release binary",
    )
    parser.add_argument("--litellm", type=Path, metavar="VENV", help="a venv with litellm[proxy]")
    parser.add_argument("--only", type=names(NAMES), help=f"some of {','.join(NAMES)}")
    parts = f"some of {','.join(PARTS)}"
    parser.add_argument("--parts", type=names(PARTS), default=PARTS, help=parts)
    parser.add_argument("--soak", type=float, metavar="MINUTES", help="a long mixed run instead")
    parser.add_argument("--no-build", action="store_true", help="the binaries are up to date")
    parser.add_argument("--keep", action="store_true", help="keep configurations and logs")
    return parser.parse_args()


def names(known):
    def parse(text):
        wanted = tuple(text.split(","))
        for name in wanted:
            if name not in known:
                raise argparse.ArgumentTypeError(f"`{name}` is none of {', '.join(known)}")
        return wanted

    return parse


def build():
    command = ["cargo", "build", "--release", "--locked", "--bins", "--example", "empty-pingora"]
    subprocess.run(command, cwd=HERE, check=True)


def chosen(options, port, folder):
    """The contenders that take part, and why the others do not."""
    everyone = [
        Direct(port, folder),
        Nginx(port, folder),
        EmptyPingora(port, folder, BUILT / "examples" / "empty-pingora"),
        Tollgate(port, folder, options.tollgate.resolve()),
        LiteLlm(port, folder, options.litellm),
    ]
    wanted = [c for c in everyone if not options.only or c.name in options.only]
    absent = {c.name: reason for c in wanted if (reason := c.absent())}
    return [c for c in wanted if c.name not in absent], absent


def cells(options, plan):
    wanted = []
    if "sweep" in options.parts:
        for kind in ("json", "sse"):
            wanted += [Cell(kind, KB, connections) for connections in plan.sweep]
            wanted += [Cell(kind, 100 * KB, connections) for connections in plan.long_sweep]
        wanted += [Cell("frames", KB, connections) for connections in plan.frames]
    if "rate" in options.parts:
        wanted += [Cell(kind, KB, RATE_CONNECTIONS, RATE) for kind in ("json", "sse")]
    return wanted


def compare(options, plan, client, upstream, contenders, absent):
    footprint = {}
    for contender in list(contenders):
        try:
            footprint[contender.name] = first_facts(options, plan, client, contender)
            contender.start()
        except (StartFailure, ClientFailure) as failure:
            absent[contender.name] = str(failure)
            contenders.remove(contender)
            footprint.pop(contender.name, None)
            progress(f"{contender.name}: left out, {failure}")
    # All are up before the first is measured; the memory at rest is read while nobody works.
    time.sleep(1)
    for contender in contenders:
        if contender.running:
            footprint[contender.name]["idle_kb"] = contender.running.rss_kb()
    wanted = cells(options, plan)
    total = plan.rounds * len(wanted)
    records, seen = [], set()

    def say(number, cell, contender, record):
        seen.add((number, cell))
        outcome = record.get("failure") or f"{record['per_second']:,.0f}/s"
        progress(f"{len(seen)}/{total} {cell.label()} {contender.name}: {outcome}")

    records.extend(rounds(client, upstream, contenders, wanted, plan, say))
    for contender in contenders:
        if contender.running:
            footprint[contender.name]["peak_kb"] = contender.running.peak_rss_kb()
    progress("")
    return {
        "machine": machine(),
        "versions": {c.name: c.version() for c in contenders},
        "options": {"plan": vars(plan), "parts": list(options.parts)},
        "contenders": [c.name for c in contenders],
        "absent": absent,
        "footprint": {name: facts for name, facts in footprint.items() if name != "direct"},
        "records": records,
    }


def first_facts(options, plan, client, contender):
    """What is measured on fresh processes: start, streams; and the size on disk."""
    facts = {}
    if contender.name == "direct":
        return facts
    if binary := contender.binary():
        facts["binary_bytes"] = binary.resolve().stat().st_size
    progress(f"{contender.name}: start and streams")
    slow = contender.start_seconds > 60
    if "start" in options.parts:
        facts["start_ms"] = starts(contender, 1 if slow else plan.starts)
    if "streams" in options.parts:
        count = min(plan.streams, 100) if slow else plan.streams
        facts["streams"] = streams(client, contender, count, plan.hold)
    return facts


def long_run(options, client, contenders):
    results = {"machine": machine(), "runs": {}}
    wanted = options.only or ("tollgate",)
    for contender in (c for c in contenders if c.name in wanted and c.name != "direct"):

        def say(at, kilobytes, name=contender.name):
            progress(f"{name}: {at:.0f} s, {kilobytes / KB:.1f} MB")

        try:
            result = soak(client, contender, options.soak, say)
        except StartFailure as failure:
            print(f"{contender.name}: {failure}", file=sys.stderr)
            return 1
        results["runs"][contender.name] = result
        progress("")
        print(soak_report(contender.name, result))
    if not results["runs"]:
        print("nothing to run: is the gateway built? (--tollgate PATH)", file=sys.stderr)
        return 1
    print(f"\nresults: {save(results, 'soak')}")
    return 0


def machine():
    text = Path("/proc/cpuinfo").read_text()
    models = [line.partition(":")[2].strip() for line in text.splitlines() if "model name" in line]
    return {
        "date": time.strftime("%Y-%m-%d %H:%M"),
        "cpu": models[0] if models else platform.machine(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
    }


def save(results, name):
    path = RESULTS / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}.json"
    path.write_text(json.dumps(results, indent=1))
    return path


def progress(text):
    """A line that is written over on a terminal, and left away where nobody watches."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
