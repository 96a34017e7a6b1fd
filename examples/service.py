"""A service that gates and meters its requests, on the standard library alone.

    python examples/service.py --store mongodb://db/credits --config meterctl.toml --port 8080

A run first reserves the most it may cost, so that two runs never spend the same units. The entry that books the real
cost ends the reservation. The client names the run, so a repeated request is booked once.
"""

import argparse
import json
from collections.abc import Mapping
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import meterctl

#: The highest cost of a run, in units: each run reserves it.
MOST_UNITS = 50


def do_the_work(prompt: str) -> Mapping[str, str]:
    """Return the cost of some stand-in work, in US dollars by feature."""
    if prompt == "fail":
        raise RuntimeError("the model is down")
    return {"llm": str(Decimal(len(prompt)) / 1000)}


class Handler(BaseHTTPRequestHandler):
    """Answer POST /run {"org", "run", "prompt"} and GET /balance/ORG."""

    meter: meterctl.Client

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._answered(lambda: self._run(body["org"], body["run"], body["prompt"]))

    def do_GET(self) -> None:
        self._answered(lambda: (200, {"balance": self.meter.balance(self.path.rpartition("/")[2]).balance}))

    def _run(self, org: str, run: str, prompt: str) -> tuple[int, dict[str, Any]]:
        held = self.meter.hold(org, MOST_UNITS, ref=run)
        if held.status == "refused":
            return 402, {"error": held.reason, "message": held.message}
        try:
            costs = do_the_work(prompt)
        except RuntimeError as problem:
            self.meter.release(org, run)
            return 503, {"error": "failed", "message": str(problem)}
        booked = self.meter.attribute(org, run=run, costs=costs, hold=run)
        if booked.entry is None:
            return 409, {"error": booked.reason or booked.status, "message": booked.message}
        return 200, {"status": booked.status, "units": booked.entry["units"], "balance": booked.balance}

    def _answered(self, answer: Any) -> None:
        try:
            code, document = answer()
        except meterctl.MeterctlError as problem:
            code = 503 if problem.exit_code == 10 else 400
            document = {"error": problem.code, "message": problem.message}
        content = json.dumps(document).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Log nothing."""


def serve(meter: meterctl.Client, port: int) -> ThreadingHTTPServer:
    """Return a server on a port of this machine; 0: a free one."""
    handler = type("Bound", (Handler,), {"meter": meter})
    return ThreadingHTTPServer(("127.0.0.1", port), handler)


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser()
    for name in ("--store", "--config"):
        parser.add_argument(name)
    parser.add_argument("--port", type=int, default=8080)
    wanted = parser.parse_args()
    with meterctl.connect(wanted.store, config=wanted.config, actor="service") as meter:
        serve(meter, wanted.port).serve_forever()


if __name__ == "__main__":
    main()
