"""Checks an exported journal by docs/format.md alone: hash chain, sums, lots, debt and weeks. Prints each problem.

meterctl export --all | python tests/independent_checker.py
"""

import hashlib
import json
import sys
from collections.abc import Iterable, Iterator
from typing import Any

EMPTY: dict[str, Any] = {"lots": [], "debt": {"owed": 0, "overage": 0}, "plan": None, "week": None}
canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode


def pick(document: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: document[name] for name in names if name in document}


def after(state: dict[str, Any], entry: dict[str, Any]) -> dict[str, Any]:
    kind, debt = entry["kind"], dict(state["debt"])
    for part in debt:
        debt[part] += entry.get("debt", {}).get(part, 0) - entry.get("repaid", {}).get(part, 0)
    debt["overage"] -= entry.get("settled", 0)
    gone = entry["hold"] if kind == "release" else entry.get("released", {}).get("hold")
    holds = [hold for hold in state.get("holds", []) if hold["id"] != gone]
    holds += [{"id": entry["hold"], **pick(entry, "units", "expires_at")}] if kind == "hold" else []
    made: dict[str, Any] = {"plan": state["plan"], **pick(state, "next_plan")}
    if kind == "plan":
        later = {"plan": made["plan"], "next_plan": {**pick(entry, "plan", "from"), "entry": entry["seq"]}}
        made = later if "from" in entry else pick(entry, "plan")
    made |= {"holds": sorted(holds, key=lambda hold: (hold["expires_at"], hold["id"]))} if holds else {}
    week = week_after(None if kind == "reset" else state["week"], entry)
    return made | {"lots": lots_after(state["lots"], entry), "debt": debt, "week": week}


def lots_after(before: list[dict[str, Any]], entry: dict[str, Any]) -> list[dict[str, Any]]:
    kind, lots = entry["kind"], {lot["id"]: dict(lot) for lot in before}
    for draw in [*entry.get("draws", []), *pick(entry, "voided").values(), *([entry] if kind == "expiration" else [])]:
        lots[draw["lot"]]["remaining"] -= draw["units"]
    opened = [dict(back) for back in entry.get("restored", [])]
    if kind in ("topup", "adjustment", "reversal", "reset") and "lot" in entry:
        opened.append(pick(entry, "lot", "units", "expires_at", "priority"))
        opened[-1].update({"paid": True} if kind == "topup" else {})
        opened[-1]["units"] -= sum(entry["repaid"].values()) if kind in ("topup", "adjustment") else 0
    for back in opened:
        own = {"id": back["lot"], "remaining": 0, **pick(back, "expires_at", "priority", "paid")}
        lots.setdefault(back["lot"], own)["remaining"] += back["units"]
    if kind == "extension":
        lots[entry["lot"]]["expires_at"] = entry["expires_at"]
    live = (lot for lot in lots.values() if lot["remaining"])
    return sorted(live, key=lambda lot: (lot.get("priority", 50), lot["expires_at"] or "~", "paid" in lot, lot["id"]))


def week_after(open_week: dict[str, Any] | None, entry: dict[str, Any]) -> dict[str, Any] | None:
    if (week := entry.get("opened") or open_week) is None:
        return None
    week = {**week, "alerts": week["alerts"] + entry.get("alerts", [])}
    if counted := entry if entry["kind"] == "usage" else entry.get("uncounted"):
        sign, made = (1, entry.get("debt", {}).get("overage", 0)) if counted is entry else (-1, counted["debt"])
        week |= {name: week[name] + sign * counted[of] for name, of in (("used", "units"), ("uncovered", "uncovered"))}
        sums = dict(week["breakdown"])
        for feature, units in counted["breakdown"].items():
            sums[feature] = sums.get(feature, 0) + sign * units
        week["breakdown"] = {name: units for name, units in sums.items() if units}
        parts = [dict(part) for part in week.pop("overflow", [])]
        moved = [(draw["lot"], draw["units"]) for draw in counted.get("draws", [])]
        for source, units in [*moved, ("debt", made), ("uncovered", counted["uncovered"])]:
            if sign > 0 and units and not (parts and parts[-1]["from"] == source):
                parts.append({"from": source, "units": 0})
            for part in [part for part in reversed(parts) if part["from"] == source]:
                change = units if sign > 0 else -min(units, part["units"])
                part["units"], units = part["units"] + change, (units + change) * (sign < 0)  # noqa: PLW2901
        week |= {"overflow": rest} if (rest := [part for part in parts if part["units"]]) else {}
    return week | (pick(entry, "plan", "version", "quota") if entry["kind"] == "plan" and "from" not in entry else {})


def check(lines: Iterable[str]) -> Iterator[str]:
    last, keys = dict[str, Any](org=None), set[str]()
    for number, line in enumerate(lines, 1):
        entry = json.loads(line)
        if entry["org"] != last["org"]:
            last, keys = dict(seq=0, at="", balance=0, hash="0" * 64, state=EMPTY), set[str]()  # noqa: C408
        state, bare = entry["state"], canonical({name: entry[name] for name in entry if name != "hash"})
        tests = {
            "seq": entry["seq"] == last["seq"] + 1 and entry["at"] >= last["at"],
            "key": entry["key"] not in keys,
            "prev": entry["prev"] == last["hash"],
            "hash": entry["hash"] == hashlib.sha256((entry["prev"] + bare).encode()).hexdigest(),
            "sum": entry["balance"] == last["balance"] + entry["amount"],
            "balance": entry["balance"] == sum(lot["remaining"] for lot in state["lots"]) - sum(state["debt"].values()),
            "state": canonical(state) == canonical(after(last["state"], entry)),
        }
        yield from (f"line {number}: {name}" for name, holds in tests.items() if not holds)
        keys, last = keys | {entry["key"]}, entry


if __name__ == "__main__":
    sys.exit("\n".join(check(sys.stdin)) or 0)
