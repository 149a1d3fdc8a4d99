"""Tables of medians with their spread, ratios within one run, and the targets."""

import statistics
from collections import defaultdict

KB = 1024
# A proxy that costs less than this many times the upstream is too close to it.
UPSTREAM_TIMES = 5


class Summary:
    """The records of all rounds, by contender and cell."""

    def __init__(self, results):
        self.results = results
        self.records = defaultdict(list)
        for record in results["records"]:
            if "failure" not in record:
                self.records[self.key(record)].append(record)

    @staticmethod
    def key(record):
        names = ("contender", "kind", "prompt_bytes", "connections", "rate")
        return tuple(record[name] for name in names)

    def values(self, contender, cell, read):
        return [read(record) for record in self.records.get((contender, *cell), [])]

    def median(self, contender, cell, read):
        values = self.values(contender, cell, read)
        return statistics.median(values) if values else None

    def added(self, contender, cell, quantile):
        """Latency over that of `direct` in the same round, one value per round."""
        direct = {
            record["round"]: record["latency_us"][quantile]
            for record in self.records.get(("direct", *cell), [])
        }
        return [
            record["latency_us"][quantile] - direct[record["round"]]
            for record in self.records.get((contender, *cell), [])
            if record["round"] in direct
        ]

    def cells(self):
        return sorted({key[1:] for key in self.records}, key=lambda c: (bool(c[3]), *c[:3]))

    def contenders(self):
        return self.results["contenders"]


def per_second(record):
    return record["per_second"]


def cpu(record):
    return record["cpu_us"]


def latency(quantile):
    return lambda record: record["latency_us"][quantile]


def label(cell):
    kind, prompt, connections, rate = cell
    load = f"{rate}/s" if rate else f"{connections} conn."
    return f"{kind} {prompt // KB} KB, {load}"


def spread(values, digits=0):
    if not values:
        return "-"
    middle = f"{statistics.median(values):,.{digits}f}"
    if len(values) == 1:
        return middle
    return f"{middle} ({min(values):,.{digits}f}-{max(values):,.{digits}f})"


def table(title, head, rows):
    widths = [max(len(str(row[at])) for row in [head, *rows]) for at in range(len(head))]
    lines = [f"\n{title}\n"]
    for row in [head, ["-" * width for width in widths], *rows]:
        cells = [str(row[0]).ljust(widths[0])]
        cells += [str(value).rjust(width) for value, width in zip(row[1:], widths[1:])]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def ratio(value, base):
    return f"{value / base:.2f}" if value is not None and base else "-"


def report(results):
    """The whole report as text."""
    summary = Summary(results)
    parts = [machine(results)]
    if any(not cell[3] for cell in summary.cells()):
        parts += [capacity(summary), cpu_table(summary), one_connection(summary)]
    if any(cell[3] for cell in summary.cells()):
        parts.append(constant_rate(summary))
    parts += [footprint(results), fairness(summary), targets(summary)]
    return "\n".join(part for part in parts if part)


def machine(results):
    lines = [f"{key}: {value}" for key, value in results["machine"].items()]
    lines += [f"{name}: {version}" for name, version in results["versions"].items() if version]
    lines += [f"{name}: left out, {reason}" for name, reason in results["absent"].items()]
    failures = [record for record in results["records"] if "failure" in record]
    lines += [f"{r['contender']} {r['kind']}: FAILED, {r['failure']}" for r in failures]
    return "\n".join(lines)


def capacity(summary):
    names = summary.contenders()
    rows = [
        [label(cell), *(spread(summary.values(n, cell, per_second)) for n in names)]
        for cell in summary.cells()
        if not cell[3]
    ]
    return table("Replies per second (median, min-max over the rounds)", ["load", *names], rows)


def cpu_table(summary):
    names = [name for name in summary.contenders() if name != "direct"]
    pairs = [
        (name, base)
        for base in ("nginx", "empty-pingora")
        for name in names
        if base in names and name not in ("nginx", base)
    ]
    head = ["load", *names, *(f"{name}/{base}" for name, base in pairs)]
    rows = []
    for cell in summary.cells():
        middle = {name: summary.median(name, cell, cpu) for name in names}
        row = [label(cell), *(spread(summary.values(n, cell, cpu), 1) for n in names)]
        rows.append(row + [ratio(middle[name], middle[base]) for name, base in pairs])
    return table("CPU per request of the proxy, microseconds", head, rows)


def one_connection(summary):
    rows = []
    for cell in (c for c in summary.cells() if c[2] == 1 and not c[3]):
        for name in summary.contenders():
            rows.append(latency_row(summary, name, cell, ("p50", "p99")))
    head = ["load", "contender", "p50", "p99", "added p50", "added p99"]
    return table("Latency at one connection, microseconds", head, rows)


def constant_rate(summary):
    rows = []
    for cell in (c for c in summary.cells() if c[3]):
        for name in summary.contenders():
            row = latency_row(summary, name, cell, ("p50", "p99", "p999"))
            row.append(int(sum(summary.values(name, cell, lambda r: r["missed"]))))
            rows.append(row)
    head = ["load", "contender", "p50", "p99", "p99.9", "added p50", "added p99", "added p99.9"]
    title = "Latency at a constant rate, microseconds from the intended moment of sending"
    return table(title, [*head, "missed"], rows)


def latency_row(summary, name, cell, quantiles):
    row = [label(cell), name]
    row += [spread(summary.values(name, cell, latency(q))) for q in quantiles]
    if name == "direct":
        return row + ["" for _ in quantiles]
    return row + [spread(summary.added(name, cell, q)) for q in quantiles]


def footprint(results):
    rows = []
    for name, facts in results["footprint"].items():
        held = facts.get("streams") or {}
        size = facts.get("binary_bytes")
        rows.append(
            [
                name,
                spread(facts.get("start_ms") or [], 1),
                megabytes(facts.get("idle_kb")),
                megabytes(facts.get("peak_kb")),
                f"{held['kb_per_stream']:.1f}" if held else "-",
                f"{held['open_at_end']}/{held['wanted']}" if held else "-",
                f"{size / 1e6:.1f}" if size else "-",
            ]
        )
    head = ["contender", "start ms", "idle MB", "peak MB", "KB per stream", "streams", "binary MB"]
    return table("Start, memory, size", head, rows) if rows else ""


def megabytes(kilobytes):
    return f"{kilobytes * KB / 1e6:.1f}" if kilobytes else "-"


def fairness(summary):
    """What a reader has to know before believing the numbers."""
    records = [record for group in summary.records.values() for record in group]
    if not records:
        return ""
    lines = ["\nHow far to trust this"]
    lines += upstream_cost(summary)
    if "direct" not in summary.contenders():
        lines.append("- without `direct` there are no added latencies.")
    lines.append(
        "- client, upstream and proxy share the cores of this machine: replies per second are "
        "what is left beside\n  the two others; CPU per request is the figure that carries over "
        "to other machines."
    )
    others = [record["others"] + record["stolen"] for record in records]
    worst, middle = max(others), statistics.median(others)
    lines.append(
        f"- other processes and the hypervisor took {middle:.0%} of the machine (median; "
        f"{worst:.0%} in the worst round)."
    )
    if middle > 0.05:
        lines.append("  NOT QUIET: latencies and rates are too pessimistic; ratios suffer less.")
    faults = sum(record["faults"] for record in records)
    missed = sum(record["missed"] for record in records)
    lines.append(f"- replies that were wrong or cut: {faults}; that did not come in time: {missed}.")
    by_first = {r["contender"]: r["first_fault"] for r in records if r["first_fault"]}
    lines += [f"  {name}: the first was {fault}" for name, fault in by_first.items()]
    return "\n".join(lines)


def upstream_cost(summary):
    """What both ends cost, and how many times the upstream each proxy costs, in its own rounds."""
    lines, lowest = [], {}
    for cell in (c for c in summary.cells() if not c[3] and c[2] > 1):
        ratios, ends = {}, []
        for name in (n for n in summary.contenders() if n != "direct"):
            own = summary.median(name, cell, lambda r: r["upstream_cpu_us"])
            if not own:
                continue
            ends.append((own, summary.median(name, cell, lambda r: r["client_cpu_us"])))
            ratios[name] = summary.median(name, cell, cpu) / own
            lowest[name] = min(lowest.get(name, ratios[name]), ratios[name])
        if ends:
            upstream, client = (statistics.median(values) for values in zip(*ends))
            each = ", ".join(f"{name} {value:.1f}" for name, value in ratios.items())
            lines.append(
                f"- {label(cell)}: upstream {upstream:.1f} us, client {client:.1f} us per request; "
                f"times the upstream: {each}."
            )
    near = [f"{name} ({value:.1f})" for name, value in lowest.items() if value < UPSTREAM_TIMES]
    if near:
        lines.append(
            f"  Under {UPSTREAM_TIMES} times the upstream at least once: {', '.join(near)}. Their "
            "replies per second are\n  partly the upstream's; compare them by CPU per request."
        )
    return lines


def targets(summary):
    """The targets of the project, for Tollgate; nothing if it did not take part."""
    if "tollgate" not in summary.contenders():
        return ""
    rows = []

    def hold(text, value, limit, below=True, unit=""):
        if value is None:
            rows.append([text, "not measured", ""])
            return
        held = value <= limit if below else value >= limit
        rows.append([text, f"{value:,.2f}{unit}", "held" if held else "MISSED"])

    def relative(kind, base):
        ratios = []
        for cell in (c for c in summary.cells() if c[:2] == (kind, KB) and not c[3] and c[2] > 1):
            own, other = summary.median("tollgate", cell, cpu), summary.median(base, cell, cpu)
            if own and other:
                ratios.append(own / other)
        return statistics.median(ratios) if ratios else None

    hold("CPU, JSON, against an empty Pingora: at most 1", relative("json", "empty-pingora"), 1)
    hold("CPU, JSON, against nginx: at most 2", relative("json", "nginx"), 2)
    hold("CPU, SSE, against an empty Pingora: at most 0.7", relative("sse", "empty-pingora"), 0.7)
    litellm = relative("json", "litellm")
    hold(
        "requests per CPU second against LiteLLM: at least 200 times",
        1 / litellm if litellm else None,
        200,
        below=False,
    )
    for kind, wanted in (("json", 20_000), ("sse", 15_000)):
        points = [
            summary.median("tollgate", cell, per_second)
            for cell in summary.cells()
            if cell[:2] == (kind, KB) and not cell[3]
            and (summary.median("tollgate", cell, latency("p99")) or 1e9) < 5_000
        ]
        text = f"{kind} replies per second with p99 under 5 ms: at least {wanted:,}"
        hold(text, max((p for p in points if p), default=None), wanted, below=False)
    for kind in ("json", "sse"):
        values = summary.added("tollgate", (kind, KB, 1, None), "p50")
        middle = statistics.median(values) / 1_000 if values else None
        hold(f"{kind}, added p50 at one connection: at most 0.13 ms", middle, 0.13)
        for cell in (c for c in summary.cells() if c[0] == kind and c[3]):
            values = summary.added("tollgate", cell, "p99")
            middle = statistics.median(values) / 1_000 if values else None
            hold(f"{kind}, added p99 at {cell[3]}/s: under 0.44 ms", middle, 0.44)
    facts = summary.results["footprint"].get("tollgate", {})
    idle, peak = facts.get("idle_kb"), facts.get("peak_kb")
    hold("idle memory: at most 20 MB", idle and idle * KB / 1e6, 20)
    hold("peak memory under load: at most 35 MB", peak and peak * KB / 1e6, 35)
    hold(
        "memory per open stream: at most 32 KB",
        (facts.get("streams") or {}).get("kb_per_stream"),
        32,
    )
    start = facts.get("start_ms")
    hold("start to first reply: under 100 ms", start and statistics.median(start), 100)
    size = facts.get("binary_bytes")
    hold("binary: under 40 MB", size and size / 1e6, 40)
    return table("Targets", ["target", "measured", ""], rows)


def soak_report(name, result):
    lost = sum(client.get("faults", 0) for client in result["clients"])
    done = sum(client.get("complete", 0) for client in result["clients"])
    gone = sum(client.get("abandoned", 0) for client in result["clients"])
    failures = [client["failure"] for client in result["clients"] if "failure" in client]
    samples = [value for _, value in result["samples"]]
    half = samples[len(samples) // 2 :]
    lines = [
        f"\nMixed run of {result['minutes']} minutes: {name}",
        f"- {done:,} replies, {gone:,} abandoned by the client, {lost} faults",
        f"- resident memory: idle {megabytes(result['idle_kb'])} MB, second half "
        f"{megabytes(min(half))}-{megabytes(max(half))} MB, peak {megabytes(result['peak_kb'])} MB, "
        f"afterwards {megabytes(result['after_kb'])} MB",
        f"- slope over the second half: {result['kb_per_minute']:+.1f} KB per minute",
    ]
    return "\n".join(lines + [f"- a client failed: {failure}" for failure in failures])
