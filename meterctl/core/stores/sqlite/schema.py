"""The schema of the file.

The journal stores only the canonical text of an entry. SQLite computes the columns from that text, so they never differ
from it. The checks and the unique indexes use these columns.
"""

import sqlite3

from meterctl.core.model import MAX_UNITS, SIGNS

#: Kept in the file as ``user_version``; raised when a table changes its shape.
SCHEMA_VERSION = 2

# Repeats the sign table of the rules, for writers other than this program. An unknown kind matches nothing.
_SIGN_FITS_KIND = "CASE kind {} ELSE FALSE END".format(
    " ".join(f"WHEN '{kind}' THEN {'TRUE' if sign == 'any' else f'amount {sign}'}" for kind, sign in SIGNS.items())
)

# A sum beyond 64 bits silently becomes a float in SQLite, hence every typeof().
_JOURNAL = f"""
    CREATE TABLE journal (
        doc TEXT NOT NULL,
        org AS (json_extract(doc, '$.org')),
        seq AS (json_extract(doc, '$.seq')),
        key AS (json_extract(doc, '$.key')),
        kind AS (json_extract(doc, '$.kind')),
        amount AS (json_extract(doc, '$.amount')),
        balance AS (json_extract(doc, '$.balance')),
        at AS (json_extract(doc, '$.at')),
        session AS (json_extract(doc, '$.session')),
        moving AS (amount <> 0),
        alerting AS (json_array_length(doc, '$.alerts') > 0 OR json_array_length(doc, '$.low') > 0),
        CHECK (typeof(doc) = 'text'),
        CHECK (typeof(org) = 'text' AND typeof(key) = 'text' AND typeof(at) = 'text'),
        CHECK (typeof(seq) = 'integer' AND seq BETWEEN 1 AND {MAX_UNITS}),
        CHECK (typeof(amount) = 'integer' AND amount BETWEEN -{MAX_UNITS} AND {MAX_UNITS}),
        CHECK (typeof(balance) = 'integer' AND balance BETWEEN -{MAX_UNITS} AND {MAX_UNITS}),
        CHECK ({_SIGN_FITS_KIND})
    )
"""

_HEADS = """
    CREATE TABLE heads (
        org TEXT PRIMARY KEY,
        seq INTEGER NOT NULL,
        key TEXT NOT NULL,
        hash TEXT NOT NULL,
        state TEXT NOT NULL,
        balance INTEGER NOT NULL,
        at TEXT NOT NULL,
        next_expiry TEXT,
        next_due TEXT
    ) WITHOUT ROWID
"""

_CLAIMS = """
    CREATE TABLE claims (
        name TEXT PRIMARY KEY,
        org TEXT NOT NULL,
        session TEXT NOT NULL
    ) WITHOUT ROWID
"""

_PLANS = """
    CREATE TABLE plans (
        plan TEXT,
        version INTEGER CHECK (typeof(version) = 'integer'),
        weekly_quota INTEGER NOT NULL CHECK (typeof(weekly_quota) = 'integer'),
        rollover_max INTEGER NOT NULL CHECK (typeof(rollover_max) = 'integer'),
        rollover_weeks INTEGER NOT NULL CHECK (typeof(rollover_weeks) = 'integer'),
        ratios TEXT NOT NULL,
        effective_from TEXT NOT NULL,
        published_at TEXT NOT NULL,
        actor TEXT NOT NULL,
        reason TEXT,
        PRIMARY KEY (plan, version)
    ) WITHOUT ROWID
"""

_LOCKS = """
    CREATE TABLE locks (
        name TEXT PRIMARY KEY,
        holder TEXT NOT NULL,
        acquired_at TEXT NOT NULL,
        expires_at TEXT NOT NULL
    ) WITHOUT ROWID
"""

# One row: the time of the latest write; pinned is 1 while only pinned clocks have written.
_CLOCK = """
    CREATE TABLE clock (
        only INTEGER PRIMARY KEY CHECK (only = 1),
        at TEXT NOT NULL,
        pinned INTEGER NOT NULL
    )
"""

#: Every object by name, in order of creation. These indexes suffice for `EntryFilter`: see `SqliteJournal.read`.
OBJECTS: dict[str, str] = {
    "journal": _JOURNAL,
    "journal_seq": "CREATE UNIQUE INDEX journal_seq ON journal (org, seq)",
    "journal_key": "CREATE UNIQUE INDEX journal_key ON journal (org, key)",
    "journal_kind": "CREATE INDEX journal_kind ON journal (org, kind, moving, seq)",
    "journal_session": "CREATE INDEX journal_session ON journal (org, session, seq) WHERE session IS NOT NULL",
    "journal_alerts": "CREATE INDEX journal_alerts ON journal (at, org, seq) WHERE alerting",
    "journal_alerts_of_org": "CREATE INDEX journal_alerts_of_org ON journal (org, at, seq) WHERE alerting",
    "journal_alerts_recorded": """
        CREATE INDEX journal_alerts_recorded ON journal (json_extract(doc, '$.recorded_at'), org, seq) WHERE alerting
    """,
    "journal_no_update": """
        CREATE TRIGGER journal_no_update BEFORE UPDATE ON journal
        BEGIN SELECT RAISE(ABORT, 'an entry is never changed'); END
    """,
    "journal_no_delete": """
        CREATE TRIGGER journal_no_delete BEFORE DELETE ON journal
        BEGIN SELECT RAISE(ABORT, 'an entry is never removed'); END
    """,
    "heads": _HEADS,
    "heads_due": "CREATE INDEX heads_due ON heads (next_due, org) WHERE next_due IS NOT NULL",
    "claims": _CLAIMS,
    "plans": _PLANS,
    "locks": _LOCKS,
    "clock": _CLOCK,
}

#: The indexes that every append requires: all guarantees depend on unique seqs and keys.
UNIQUE = ("journal_seq", "journal_key")


def object_names(connection: sqlite3.Connection) -> set[str]:
    """Return the names of all tables, indexes and triggers in the file."""
    return {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}


def keeps_unique(connection: sqlite3.Connection) -> bool:
    """Return True if the unique indexes exist unchanged."""
    statement = "SELECT name, sql FROM sqlite_master WHERE name IN (?, ?)"
    live = {name: sql.split() for name, sql in connection.execute(statement, UNIQUE)}
    return live == {name: OBJECTS[name].split() for name in UNIQUE}


def plain(sql: str) -> str:
    """Return the statement on one line, for comparisons."""
    return " ".join(sql.split())


def create_missing(connection: sqlite3.Connection) -> list[str]:
    """Create the missing objects in the caller's transaction; return their names."""
    present = object_names(connection)
    missing = [name for name in OBJECTS if name not in present]
    for name in missing:
        connection.execute(OBJECTS[name])
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    return missing
