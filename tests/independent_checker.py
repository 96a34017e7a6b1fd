"""Checks an exported journal by docs/format.md alone: hash chain, sums, lots, debt and weeks. Prints what is wrong.

meterctl export --all | python tests/independent_checker.py
"""

import hashlib
import json
import sys
from collections.abc import Iterable, Iterator
from typing import Any

EMPTY: dict[str, Any] = {"lots": [], "debt": {"owed": 0, "overage": 0}, "plan": None, "week": None}


def canonical(document: object) -> str:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def after(state: dict[str, Any], entry: dict[str, Any]) -> dict[str, Any]:
    """The state that the effects of ``entry`` make of the ``state`` before it."""
    kind, debt = entry["kind"], dict(state["debt"])
    lots = {lot["id"]: [lot["remaining"], lot["expires_at"]] for lot in state["lots"]}
    taken = entry.get("draws", []) + ([entry["voided"]] if "voided" in entry else [])
    for draw in [*taken, *([entry] if kind == "expiration" else [])]:
        lots[draw["lot"]][0] -= draw["units"]
    for back in entry.get("restored", []):
        lots.setdefault(back["lot"], [0, back["expires_at"]])[0] += back["units"]
    for name, sign in (("debt", 1), ("repaid", -1)):
        for part, units in entry.get(name, {}).items():
            debt[part] += sign * units
    debt["overage"] -= entry.get("settled", 0)
    if "lot" in entry and kind in ("topup", "adjustment", "reversal"):
        paid = sum(entry["repaid"].values()) if kind != "reversal" else 0
        lots[entry["seq"]] = [entry["units"] - paid, entry["expires_at"]]
    order = sorted((at is None, at or "", lot, left) for lot, (left, at) in lots.items() if left)
    return {
        "lots": [{"id": lot, "remaining": left, "expires_at": at or None} for _, at, lot, left in order],
        "debt": debt,
        "plan": entry["plan"] if kind == "plan" else state["plan"],
        "week": week_after(None if kind == "reset" else state["week"], entry),
    }


def week_after(open_week: dict[str, Any] | None, entry: dict[str, Any]) -> dict[str, Any] | None:
    week = entry.get("opened") or open_week
    if week is None:
        return None
    week = {**week, "breakdown": dict(week["breakdown"]), "alerts": week["alerts"] + entry.get("alerts", [])}
    if entry["kind"] == "usage":
        week["used"], week["uncovered"] = week["used"] + entry["units"], week["uncovered"] + entry["uncovered"]
        for feature, units in entry["breakdown"].items():
            week["breakdown"][feature] = week["breakdown"].get(feature, 0) + units
    return {**week, **{name: entry[name] for name in ("plan", "version", "quota") if entry["kind"] == "plan"}}


def check(lines: Iterable[str]) -> Iterator[str]:
    """What is wrong with an export, line by line."""
    last, keys = dict[str, Any](org=None), set[str]()
    for number, line in enumerate(lines, 1):
        entry = json.loads(line)
        if entry["org"] != last["org"]:
            last, keys = {"seq": 0, "at": "", "balance": 0, "hash": "0" * 64, "state": EMPTY}, set[str]()
        state, debt = entry["state"], entry["state"]["debt"]
        bare = canonical({name: value for name, value in entry.items() if name != "hash"})
        tests = {
            "seq": entry["seq"] == last["seq"] + 1 and entry["at"] >= last["at"],
            "key": entry["key"] not in keys,
            "prev": entry["prev"] == last["hash"],
            "hash": entry["hash"] == hashlib.sha256((entry["prev"] + bare).encode()).hexdigest(),
            "sum": entry["balance"] == last["balance"] + entry["amount"],
            "balance": entry["balance"] == sum(lot["remaining"] for lot in state["lots"]) - sum(debt.values()),
            "state": canonical(state) == canonical(after(last["state"], entry)),
        }
        yield from (f"line {number}: {name}" for name, holds in tests.items() if not holds)
        keys, last = keys | {entry["key"]}, entry


if __name__ == "__main__":
    sys.exit("\n".join(check(sys.stdin)) or 0)
