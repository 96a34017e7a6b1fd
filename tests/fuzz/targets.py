"""The ways in that are fuzzed: each makes command lines, and the files they read, from a random source."""

import json
from abc import ABC, abstractmethod
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any, ClassVar, NamedTuple

from tests.fuzz import mutate
from tests.journals import export_of, story

ORGS = tuple(f"org-{number}" for number in range(6))
CONFIG = Path(__file__).parents[2] / "examples" / "meterctl.toml"

OPERATIONS: tuple[dict[str, Any], ...] = (
    {"op": "credit-pack", "pack": "small", "session": "cs_1", "paid_cents": 500},
    {"op": "debit", "units": 5, "ref": "d1", "allow_debt": True},
    {"op": "refund", "session": "cs_1", "cents": 100, "refund_id": "re_1"},
    {"op": "reverse-refund", "refund_id": "re_1"},
    {"op": "adjust", "units": -20, "ref": "a1", "reason": "goodwill", "expires_at": "2027-01-01T00:00:00Z"},
    {"op": "attribute", "run": "r1", "step": "main", "costs": {"llm": "0.1", "search": 0.02}},
    {"op": "attribute", "run": "r2", "units": 7, "at": "2026-11-20T10:00:00Z"},
    {"op": "assign-plan", "plan": "free", "ref": "p1"},
    {"op": "undo", "seq": 1, "reason": "wrong org"},
    {"op": "undo", "of": "debit:d1", "reason": "wrong org"},
)

EVENTS: tuple[tuple[str, dict[str, Any]], ...] = (
    (
        "checkout.session.completed",
        {
            "id": "cs_test_1",
            "object": "checkout.session",
            "mode": "payment",
            "status": "complete",
            "payment_status": "paid",
            "payment_intent": "pi_1",
            "amount_total": 500,
            "currency": "usd",
            "livemode": False,
            "metadata": {"org": "org-1", "pack": "small"},
        },
    ),
    (
        "refund.created",
        {
            "id": "re_1",
            "object": "refund",
            "amount": 100,
            "currency": "usd",
            "status": "succeeded",
            "payment_intent": "pi_1",
        },
    ),
    (
        "charge.dispute.created",
        {
            "id": "dp_1",
            "object": "dispute",
            "amount": 500,
            "currency": "usd",
            "status": "needs_response",
            "payment_intent": "pi_1",
        },
    ),
    (
        "charge.refunded",
        {"id": "ch_1", "object": "charge", "amount_refunded": 100, "payment_intent": "pi_1", "refunds": {"data": []}},
    ),
    ("customer.created", {"id": "cus_1", "object": "customer"}),
)

#: Words of a command line: commands, options, and values that fit somewhere. Left out are those that never end, start
#: processes, write to the user's shell, or wait for a network.
COMMANDS = (
    "credit-pack", "debit", "refund", "expire", "reset-week", "ledger", "meter", "explain", "balance", "adjust",
    "undo", "plan", "backfill", "apply", "reconcile", "events", "export", "verify", "orgs", "init", "doctor",
    "config", "schema", "lock", "statement", "report", "import", "nope",
)  # fmt: skip
WORDS = (
    "org-1", "org-2", "small", "pro", "5", "-5", "0", "cs_1", "d1", "re_1", "run-1", "free", "receipt",
    "good.ndjson", "plan.ndjson", "events.ndjson", "export.ndjson", "meterctl.toml", "out.tmp", "missing", "-", "",
    "2026-11-20", "7d", "now", "next-week", "never", "llm=0.1", "default=1",
)  # fmt: skip
OPTIONS = (
    "--json", "--dry-run", "--yes", "--all", "--ref", "--session", "--cents", "--refund-id", "--reason", "--at",
    "--units", "--cost", "--kind", "--since", "--until", "--limit", "--before", "--run", "--step", "--force",
    "--allow-debt", "--preview", "--reverse", "--expires", "--results", "--pending", "--plan-out", "--seal",
    "--against", "--file", "--quota", "--ratio", "--from-config", "--as-of", "--negative", "--expiring", "--shard",
    "--metrics-file", "--max-errors", "--output", "-o", "--actor", "--profile", "--config", "--now", "--month",
    "--by", "--help", "--version", "--chart", "--all-kinds", "--require-journal", "--expect-seq",
    "--expect-balance", "--sort", "--timezone", "--rejects", "--unknown",
)  # fmt: skip


#: Command lines that are right, to be changed here and there.
LINES = (
    "credit-pack org-1 small --session cs_1 --paid-cents 500 --yes",
    "debit org-1 5 --ref d1 --allow-debt --yes --reason why",
    "refund org-1 --session cs_1 --cents 100 --refund-id re_1 --yes",
    "refund org-1 --session cs_1 --cents 100 --preview",
    "expire --all --limit 5 --max-errors 1 --shard 1/2 --metrics-file out.tmp",
    "reset-week org-1 --force --ref w1 --reason why --yes",
    "ledger org-1 --kind debit --since 7d --until now --limit 5 --before 9 --all-kinds",
    "ledger org-1 --chart --since 2026-11-01",
    "meter attribute org-1 run-1 --step main --cost llm=0.1 --cost search=2 --yes",
    "meter check org-1 --units 5",
    "meter show org-1",
    "meter history org-1",
    "meter alerts --after 2026-11-20",
    "meter alerts org-1 --since 7d",
    "explain org-1",
    "balance org-1 --as-of 2026-11-20",
    "adjust org-1 -5 --ref a1 --reason why --expires 2027-01-01 --allow-debt --yes",
    "undo org-1 1 --reason why --yes",
    "plan publish pro --quota 5 --ratio llm=1.25 --effective-from 2026-12-01 --yes",
    "plan assign org-1 free --ref p1 --yes",
    "plan list",
    "plan show free",
    "orgs --negative --expiring 14d --plan free --week-over 80 --idle 30d --sort balance",
    "verify --all --seal out.tmp",
    "verify org-1",
    "export org-1",
    "export --all --since 2026-11-01",
    "statement org-1 --month 2026-11",
    "report --month 2026-11 --by kind",
    "import good.ndjson --dry-run",
    "lock list",
    "lock break sweep --reason why",
    "config show",
    "schema receipt",
    "doctor --sample 5",
    "events good.ndjson --pending out.tmp",
    "backfill good.ndjson --sort at --results out.tmp",
)


class Case(NamedTuple):
    """One call: its words, and how many inputs it holds."""

    words: list[str]
    inputs: int


class Target(ABC):
    """``share``: of the inputs, in percent. Files are made in ``place``, where the call is made."""

    name: ClassVar[str]
    share: ClassVar[int]

    def __init__(self, place: Path) -> None:
        self.place = place

    @abstractmethod
    def case(self, random: Random) -> Case:
        """Make the next call."""

    def write(self, name: str, data: bytes) -> str:
        (self.place / name).write_bytes(data)
        return name


class BackfillLines(Target):
    """Files of many lines, most of which are spoilt one by one."""

    name, share = "backfill", 33
    LINES = 250

    def case(self, random: Random) -> Case:
        lines = [self._line(random) for _ in range(self.LINES)]
        file = self.write("lines.ndjson", b"\n".join(lines))
        return Case(["backfill", file, "--results", "results.tmp"], len(lines))

    def _line(self, random: Random) -> bytes:
        good: dict[str, Any] = {"org": random.choice(ORGS), **random.choice(OPERATIONS)}
        for name in ("ref", "session", "refund_id", "run"):
            if name in good and random.random() < 0.7:
                good[name] = f"{good[name]}-{random.randrange(10_000)}"
        kind = random.random()
        if kind < 0.15:
            return mutate.text_of(random, good)
        if kind < 0.7:
            return mutate.text_of(random, mutate.document(random, good))
        return mutate.damaged(random, mutate.text_of(random, good)).replace(b"\n", b" ")


class BackfillFiles(Target):
    """Files that are spoilt as a whole: CSV in its dialects, and NDJSON."""

    name, share = "backfill-file", 1

    def case(self, random: Random) -> Case:
        mark = random.choice((",", ";", "\t"))
        rows = [["op", "org", "units", "ref", "reason", "allow_debt"]]
        rows += [["debit", random.choice(ORGS), "5", f"c{random.randrange(10**6)}", "why", "TRUE"] for _ in range(6)]
        text = "\n".join(mark.join(row) for row in rows)
        data = mutate.damaged(random, text.encode(), random.randrange(1, 6))
        file = self.write(random.choice(("lines.csv", "lines.ndjson", "lines")), data)
        extra = random.choice(([], ["--sort", "at"], ["--timezone", "Europe/Berlin"], ["--dry-run"]))
        return Case(["backfill", file, *extra], 1)


class EventLines(Target):
    """Deliveries, most of which are spoilt one by one."""

    name, share = "events", 30
    LINES = 250

    def case(self, random: Random) -> Case:
        lines = [self._line(random) for _ in range(self.LINES)]
        extra = random.choice(([], ["--pending", "pending.tmp"], ["--dry-run"]))
        return Case(["events", self.write("events.tmp", b"\n".join(lines)), *extra], len(lines))

    def _line(self, random: Random) -> bytes:
        kind, item = random.choice(EVENTS)
        item = item | {"id": f"{item['id']}{random.randrange(3000)}", "payment_intent": f"pi_{random.randrange(3000)}"}
        event: Any = {"id": "evt_1", "type": kind, "created": 1795168800, "livemode": False, "data": {"object": item}}
        if random.random() < 0.2:
            event = {"body": json.dumps(event)}
        choice = random.random()
        if choice < 0.2:
            return mutate.text_of(random, event)
        if choice < 0.7:
            return mutate.text_of(random, mutate.document(random, event))
        return mutate.damaged(random, mutate.text_of(random, event)).replace(b"\n", b" ")


class EventFiles(Target):
    """Deliveries in one file that is spoilt as a whole: laid out over lines, or as an array."""

    name, share = "events-file", 1

    def case(self, random: Random) -> Case:
        events = [{"id": "evt", "type": kind, "livemode": False, "data": {"object": item}} for kind, item in EVENTS]
        text = json.dumps(random.choice((events, {"object": "list", "data": events}, events[0])), indent=2)
        return Case(["events", self.write("events.tmp", mutate.damaged(random, text.encode(), 3))], 1)


class Exports(Target):
    """Exports of a story with every operation: its entries spoilt, one by one or as a file."""

    name, share = "verify", 26

    @cached_property
    def lines(self) -> list[bytes]:
        return export_of(story())

    def case(self, random: Random) -> Case:
        lines = [line if random.random() < 0.3 else self._spoilt(random, line) for line in self.lines]
        data = b"".join(lines)
        if random.random() < 0.1:
            data = mutate.damaged(random, data, 5)
        return Case(["verify", "--file", self.write("export.tmp", data)], len(lines))

    def _spoilt(self, random: Random, line: bytes) -> bytes:
        if random.random() < 0.5:
            return mutate.text_of(random, mutate.document(random, json.loads(line))) + b"\n"
        return mutate.damaged(random, line)


class Plans(Target):
    """A saved plan that somebody has edited or damaged."""

    name, share = "apply", 2

    @cached_property
    def lines(self) -> list[bytes]:
        return (self.place / "plan.ndjson").read_bytes().splitlines(keepends=True)

    def case(self, random: Random) -> Case:
        lines = [*self.lines]
        place = random.randrange(len(lines))
        if random.random() < 0.5:
            lines[place] = mutate.text_of(random, mutate.document(random, json.loads(lines[place]))) + b"\n"
        else:
            lines[place] = mutate.damaged(random, lines[place], random.randrange(1, 3))
        return Case(["apply", self.write("plan.tmp", b"".join(lines)), "--yes"], 1)


class Configs(Target):
    """A config that is spoilt."""

    name, share = "config", 3

    @cached_property
    def text(self) -> bytes:
        # Commented examples are part of what people change.
        return CONFIG.read_bytes().replace(b"\n#   ", b"\n") if CONFIG.exists() else b""

    def case(self, random: Random) -> Case:
        lines = self.text.splitlines(keepends=True)
        for _ in range(random.randrange(1, 4)):
            place = random.randrange(len(lines))
            lines[place] = random.choice((b"", lines[place] * 2, mutate.damaged(random, lines[place])))
            name, equals, _ = lines[place].partition(b" = ")
            if equals and random.random() < 0.5:
                lines[place] = name + b" = " + mutate.text_of(random, mutate.value(random)) + b"\n"
        return Case(["config", "show", "--config", self.write("config.tmp", b"".join(lines))], 1)


class CommandLines(Target):
    """Words in any order."""

    name, share = "argv", 4

    def case(self, random: Random) -> Case:
        words = random.choice(LINES).split() if random.random() < 0.8 else [random.choice(COMMANDS)]
        for _ in range(random.choice((1, 1, 2, 3, 8))):
            values = [place for place, word in enumerate(words) if place and not word.startswith("-")]
            if values and random.random() < 0.6:
                words[random.choice(values)] = random.choice(random.choice((WORDS, mutate.TEXTS[:-8])))
                continue
            place = random.randrange(len(words) + 1)
            new = random.choice(random.choice((WORDS, OPTIONS, mutate.TEXTS[:-8])))
            words[place : place + random.randrange(3)] = [new] if random.random() < 0.9 else []
        return Case([word.replace("\x00", "0").replace("\ud800", "?") for word in words], 1)


TARGETS: tuple[type[Target], ...] = (
    BackfillLines,
    BackfillFiles,
    EventLines,
    EventFiles,
    Exports,
    Plans,
    Configs,
    CommandLines,
)
