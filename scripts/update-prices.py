#!/usr/bin/env python3
"""Write conf/prices.json, the price book that is compiled into Tollgate.

The facts come from the model table of the LiteLLM project (MIT licence), which is part of its
package on PyPI. Only prices, limits, modes and capabilities are kept; one model a line, sorted, so
that a diff shows what changed.

    pip download --no-deps litellm -d /tmp/litellm
    unzip -d /tmp/litellm /tmp/litellm/litellm-*.whl 'litellm/model_prices*'
    scripts/update-prices.py --version 1.109.1 \\
        /tmp/litellm/litellm/model_prices_and_context_window_backup.json

LiteLLM drops models when a provider retires them, while others (Azure, compatible servers) still
serve them. `--older VERSION=FILE` takes such models from the table of an older release; what the
newer table says always wins.
"""

import argparse
import datetime
import json
import pathlib
import re
import sys

SOURCE = "https://pypi.org/project/litellm (model_prices_and_context_window_backup.json)"
LIMITS = ("max_input_tokens", "max_output_tokens")
# Service levels that no request can ask for by OpenAI's `service_tier`, and a unit that is not money.
UNUSED_PRICE = re.compile(r"_(ultrafast|balanced|decisions)$|dbu_cost|_above_\d+s_interval$")
# Flags without the usual prefix that say what a model cannot do.
OTHER_FLAGS = ("thinking_always_on",)
# What an older table may add: modes with a price by token.
OLDER_MODES = ("chat", "completion", "embedding")
PICO = 1e-12
# The licence asks for its text in every copy, and the compiled-in file is one.
LICENCE = (
    "MIT License. Copyright (c) 2023 Berri AI. Permission is hereby granted, free of charge, to any "
    "person obtaining a copy of this software and associated documentation files (the \"Software\"), "
    "to deal in the Software without restriction, including without limitation the rights to use, "
    "copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and "
    "to permit persons to whom the Software is furnished to do so, subject to the following "
    "conditions: The above copyright notice and this permission notice shall be included in all "
    "copies or substantial portions of the Software. THE SOFTWARE IS PROVIDED \"AS IS\", WITHOUT "
    "WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF "
    "MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE "
    "AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN "
    "ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE "
    "OR THE USE OR OTHER DEALINGS IN THE SOFTWARE."
)


def number(value):
    """A price as a number; tables hold a few as text."""
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        return value
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def plain(value):
    """Whole numbers without a fraction: `0`, not `0.0`."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def entry(model):
    """What is kept of one model, in a fixed order of fields."""
    kept = {"litellm_provider": model["litellm_provider"]}
    if model.get("mode"):
        kept["mode"] = model["mode"]
    for name in LIMITS:
        limit = number(model.get(name))
        if limit:
            kept[name] = int(limit)
    # Old entries know only one limit: of the output, or of the input where there is no output.
    only = "max_input_tokens" if model.get("mode") == "embedding" else "max_output_tokens"
    if only not in kept and number(model.get("max_tokens")):
        kept[only] = int(number(model["max_tokens"]))
    prices = {}
    for name, value in sorted(model.items()):
        if "cost" not in name or UNUSED_PRICE.search(name):
            continue
        price = number(value)
        if price is not None and price >= 0:
            prices[name] = plain(price)
    kept |= prices
    search = model.get("search_context_cost_per_query")
    if isinstance(search, dict):
        kept["search_context_cost_per_query"] = search
    tiers = model.get("tiered_pricing")
    if isinstance(tiers, list):
        kept["tiered_pricing"] = [
            {name: [int(edge) for edge in value] if name == "range" else value
             for name, value in tier.items()}
            for tier in tiers if isinstance(tier, dict) and "range" in tier
        ]
    flags = {name.removeprefix("supports_"): value for name, value in sorted(model.items())
             if isinstance(value, bool) and (name.startswith("supports_") or name in OTHER_FLAGS)}
    for field, wanted in (("supports", True), ("lacks", False)):
        names = [name for name, value in flags.items() if value is wanted]
        if names:
            kept[field] = names
    if re.fullmatch(r"\d{4}-\d\d-\d\d", str(model.get("deprecation_date", ""))):
        kept["deprecation_date"] = model["deprecation_date"]
    return kept


def models(path):
    table = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
    return {name: entry(model) for name, model in table.items()
            if name != "sample_spec" and isinstance(model, dict) and model.get("litellm_provider")}


def inexact(book):
    """Prices by token that pico-dollars cannot hold."""
    for name, model in book.items():
        for field, value in model.items():
            if "token" in field and "cost" in field and isinstance(value, float):
                pico = value / PICO
                if abs(pico - round(pico)) > 1e-3 * max(1.0, pico * 1e-6):
                    yield f"{name}: {field} = {value}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", help="LiteLLM's model table")
    parser.add_argument("--version", required=True, help="the LiteLLM release it is from")
    parser.add_argument("--date", default=datetime.date.today().isoformat())
    parser.add_argument("--older", metavar="VERSION=FILE", action="append", default=[])
    parser.add_argument("--out", default=pathlib.Path(__file__).parent.parent / "conf/prices.json")
    args = parser.parse_args()

    book = models(args.table)
    listed = len(book)
    older = []
    for version, _, path in (item.partition("=") for item in args.older):
        older.append(version)
        for name, model in models(path).items():
            if model.get("mode") in OLDER_MODES:
                book.setdefault(name, model)

    head = {"source": SOURCE, "licence": "MIT", "licence_text": LICENCE,
            "version": args.version, "older": older, "date": args.date}
    compact = {"ensure_ascii": False, "separators": (",", ":")}
    lines = [f"{json.dumps(name, **compact)}:{json.dumps(book[name], **compact)}"
             for name in sorted(book)]
    text = json.dumps(head, **compact)[:-1] + ',"models":{\n' + ",\n".join(lines) + "\n}}\n"
    json.loads(text)
    pathlib.Path(args.out).write_text(text, encoding="utf-8")

    print(f"{listed} models, {len(book) - listed} from older tables, {len(text)} bytes")
    for line in inexact(book):
        print("rounded:", line, file=sys.stderr)


if __name__ == "__main__":
    main()
