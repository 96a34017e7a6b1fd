"""The names of all commands, without importing them."""

from keyword import iskeyword

#: Every command with its summary in ``--help``; module ``meterctl.commands.<name>``.
COMMANDS = {
    "credit-pack": "Book a sold pack: opens a lot of units.",
    "debit": "Take units from an org.",
    "refund": "Claw back units for money given back, or take such a refund back.",
    "expire": "Book due events: expired lots and ended weeks.",
    "reset-week": "Close ended weeks, or one week now by hand.",
    "ledger": "Page through an org's journal, newest first.",
    "meter": "Book metered runs; show weeks, thresholds and admission.",
    "explain": "Explain an org's balance and admission, lot by lot, and the next due events.",
    "statement": "Print an org's statement: opening balance, every movement, closing balance, and the money.",
    "report": "Report on all orgs: the sums of their statements, and the units outstanding with the price paid.",
    "balance": "Show units, lots, debt and the next expiry of an org.",
    "adjust": "Correct a balance or grant units.",
    "lot": "List the lots of an org; extend or void one.",
    "undo": "Take back a debit, an adjustment, a topup or a run.",
    "plan": "Publish, list and assign plans.",
    "backfill": "Book a file of operations, once each.",
    "apply": "Carry out a saved plan, as it was reviewed.",
    "reconcile": "Compare payments with the journal, both ways.",
    "events": "Book Stripe's webhook events, in any order, once each.",
    "export": "Print journals as NDJSON, verifiable offline.",
    "import": "Bring journals in from an export, or from another store.",
    "audit": "Find errors in the data of another system.",
    "verify": "Check journals against the rules.",
    "orgs": "List orgs by balance, debt, plan or use.",
    "init": "Create or complete the store.",
    "doctor": "Check config and store, with advice for each finding.",
    "config": "Show the config in force, or write a first one.",
    "schema": "Print the JSON Schema of a document.",
    "lock": "List or break the locks of sweeps.",
    "demo": "Run the whole story on a throw-away store.",
}


#: The commands by purpose, in the order of ``--help``.
SECTIONS = {
    "Units and packs": ("credit-pack", "debit", "refund", "adjust", "lot", "undo"),
    "Usage and plans": ("meter", "plan", "expire", "reset-week"),
    "Answers": ("explain", "balance", "ledger", "statement", "report", "orgs"),
    "Files and payments": ("backfill", "apply", "events", "reconcile", "export", "import", "audit"),
    "Operation": ("verify", "doctor", "init", "config", "lock", "schema", "demo"),
}


#: The module of each command; a Python keyword gets an underscore.
MODULES = {name: f"meterctl.commands.{name.replace('-', '_')}{'_' if iskeyword(name) else ''}" for name in COMMANDS}


#: Commands whose next word is part of their name in logs: those with subcommands, and `reconcile stripe`.
GROUPS = frozenset({"meter", "plan", "lock", "config", "audit", "reconcile", "lot"})
