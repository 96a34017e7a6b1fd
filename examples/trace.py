"""Turn a trace of LLM requests into lines for ``meterctl backfill``: a realistic load to try it with.

The trace is a CSV file with the columns TIMESTAMP (UTC), ContextTokens and GeneratedTokens, such as Microsoft's "Azure
LLM inference trace 2023" (github.com/Azure/AzurePublicDataset, CC BY 4.0). Every request becomes a metered run:

* its costs are the tokens at a list price, in US dollars, as exact decimals;
* its time is the request's, cut to the millisecond;
* the trace names no customers, so row i (from 0) goes to one of 97 orgs, and its run is called ``run-i``.

Usage: python examples/trace.py TRACE.csv | meterctl backfill -
"""

import csv
import json
import sys
from collections.abc import Iterable, Iterator
from decimal import Decimal
from pathlib import Path

PROMPT_PRICE = Decimal("0.0000025")  # of one token
COMPLETION_PRICE = Decimal("0.00001")

ORGS, STRIDE = 97, 7919  # a stride prime to the number of orgs visits them all, out of order


def operations(rows: Iterable[dict[str, str]]) -> Iterator[dict[str, object]]:
    """Yield one operation per row, in the order of the trace."""
    for number, row in enumerate(rows):
        yield {
            "op": "attribute",
            "org": f"org-{number * STRIDE % ORGS:03}",
            "run": f"run-{number}",
            "costs": {
                "prompt": f"{int(row['ContextTokens']) * PROMPT_PRICE:f}",
                "completion": f"{int(row['GeneratedTokens']) * COMPLETION_PRICE:f}",
            },
            "at": instant(row["TIMESTAMP"]),
        }


def instant(timestamp: str) -> str:
    """Return ``2023-11-16 18:17:03.9799600`` as ``2023-11-16T18:17:03.979Z``."""
    day, time = timestamp.split(" ")
    second, _, fraction = time.partition(".")
    return f"{day}T{second}.{fraction[:3]:0<3}Z"


def main() -> int:
    if len(sys.argv) != 2:
        sys.stderr.write(f"{__doc__}\n")
        return 2
    with Path(sys.argv[1]).open(encoding="utf-8", newline="") as trace:
        for operation in operations(csv.DictReader(trace)):
            sys.stdout.write(json.dumps(operation) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
