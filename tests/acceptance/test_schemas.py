"""Every document against its JSON Schema, in both directions: nothing invalid, nothing the schema does not know."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from meterctl import schemas
from meterctl.core.model import KINDS
from meterctl.core.results import Result
from tests import samples
from tests.acceptance.shell import EARLIER, Shell, conforms, hold_lock

SOURCE = Path(schemas.__file__).parents[1]

#: What commands that need Stripe answer is checked where the suite has a Stripe to ask.
OF_STRIPE = {"audit", "devkit-import", "events", "reconcile", "receipts"}

#: What is shown to whoever is asked, and printed by no command.
SHOWN_ONLY = {"plan-summary"}

#: What is printed by no command of its own: lines of files, and what goes to standard error.
ELSEWHERE = {"entry", "exported-plan", "backfill-line", "error", "saved-plan", "saved-plan-line"}


#: A story that makes entries of every kind, then every document, by the name of its schema. Two weeks lie between the
#: two halves.
STORY = [
    "plan publish pro --quota 500 --effective-from 2026-11-01",
    "plan publish --from-config --effective-from 2026-11-02",
    "credit-pack acme small --session s1",
    "credit-pack acme brief --session s2",
    "credit-pack bolt brief --session s4",
    "credit-pack acme small --session s3",
    "undo acme 3 --reason why --yes",
    "plan assign acme pro --ref p1",
    "debit acme 30 --ref r1",
    "undo acme 6 --reason why --yes",
    "adjust acme 7 --ref a1 --reason why --expires 2026-12-24",
    "adjust acme -7 --ref a2 --reason why",
    "refund acme --session s1 --cents 100 --refund-id re1",
    "refund acme --reverse re1",
    "refund acme --session s1 --cents 50 --refund-id re2",
    "meter attribute acme run1 --cost llm=0.32 --cost search=0.01",
    "meter attribute acme run2 --units 2000 --step fetch",
    "reset-week acme --force --ref f1 --reason why --yes",
    "meter attribute acme run3 --units 900",
    "credit-pack dora small --session cs_two --name pi_two --quantity 2 --tax-cents 100",
    "adjust dora 10 --ref promo --reason why --priority 5",
    "lot extend dora 2 --expires never --ref x1 --reason why",
    "lot void dora 2 --ref v1 --reason why --yes",
    "undo dora --ref v1 --reason why --yes",
    "meter hold dora 5 --ref h1 --for 1h",
    "meter release dora --ref h1",
    "meter attribute dora tenfold --units 40",
    "undo dora --run tenfold --reason why --yes",
]

LATER = "2026-11-30T08:00:00.000Z"

PRINTED: dict[str, list[str]] = {
    "receipt": [
        "credit-pack acme small --session s9",
        "credit-pack acme small --session s9",
        "credit-pack acme small --session s9 --paid-cents 1",
        "credit-pack acme none --session s8",
        "debit acme 5 --ref r9 --dry-run",
        "debit acme 5 --ref r1",
        "debit acme 5000 --ref r8",
        "refund acme --session s9 --cents 501 --preview",
        "plan assign acme pro --ref p9",
        "undo acme 1 --reason why --yes",
    ],
    "refund-preview": ["refund acme --session s1 --cents 5 --preview"],
    "ledger": [
        "ledger acme --all-kinds --limit 100",
        "ledger acme --limit 2",
        "ledger acme --kind topup --kind reset --since 2026-W47",
        "ledger --session s1 --until now",
        "ledger nobody",
        "ledger --all-orgs --by tester --min 5",
    ],
    "ledger-chart": [
        "ledger acme --chart",
        "ledger acme --chart --since 2026-11-16T12:00 --until now",
        "ledger nobody --chart",
    ],
    "meter": ["meter show acme", "meter show nobody", "meter check acme --units 100000"],
    "history": ["meter history acme", "meter history nobody"],
    "lots": ["lot list acme --all", "lot list nobody"],
    "alerts": ["meter alerts", "meter alerts acme --since 30d", "meter alerts --after 30d"],
    "balance": ["balance acme", f"balance acme --as-of {EARLIER}", "balance acme --as-of 2027-06-01", "balance nobody"],
    "explain": [
        "explain acme",
        "explain bolt",
        f"explain acme --as-of {EARLIER}",
        "explain acme --as-of 2026-11-16T13:00",
        "explain acme --as-of 2027-06-01",
        "explain nobody",
    ],
    "statement": ["statement acme --month 2026-11", "statement acme --since 2d", "statement nobody"],
    "report": [
        "report",
        "report --month 2026-11 --by plan",
        "report --since 30d --by pack",
        "report --month 2026-11 --by org --expiring 30d",
    ],
    "orgs": ["orgs", "orgs --expiring 30d --idle 1d", "orgs ac --blocked --owing-since 1d --runs-out 9d --as-of now"],
    "sweep": ["expire --all --dry-run", "expire acme", "expire --all", "reset-week --all"],
    "verify": ["verify --all", "verify acme", "verify --file lines.ndjson"],
    "backfill": ["backfill lines.ndjson --dry-run", "backfill lines.ndjson --results answers.ndjson"],
    "apply": ["apply plan.ndjson --dry-run", "apply plan.ndjson"],
    "plan-version": [
        "plan publish pro --quota 600",
        "plan publish pro --quota 600",
        "plan publish new --quota 0 --dry-run",
    ],
    "plans": ["plan list", "plan publish --from-config"],
    "plan": ["plan show pro"],
    "locks": ["lock list"],
    "lock": ["lock break sweep --reason why"],
    "config": ["config show"],
    "config-init": ["config init first.toml"],
    "commands": ["schema --commands"],
    "init": ["init"],
    "doctor": ["doctor"],
    "import": ["import export.ndjson", "import export.ndjson --store sqlite:other.db --dry-run"],
    "repair": ["verify --all --repair-heads"],
    "schemas": ["schema"],
}

LINES = """\
{"op": "credit-pack", "org": "bolt", "pack": "small", "session": "b0"}
{"op": "debit", "org": "bolt", "units": 1, "ref": "b1"}
{"op": "debit", "org": "acme", "units": 999999, "ref": "b2"}
{"op": "debit", "org": "a b", "units": 1, "ref": "b3"}
{"op": "debit", "org": "acme", "units": 2, "ref": "r1"}
nonsense
"""


def test_every_document_has_a_schema_and_every_schema_a_document() -> None:
    assert set(PRINTED) | OF_STRIPE | ELSEWHERE == set(schemas.DOCUMENTS)


def test_every_result_has_a_schema() -> None:
    """Whatever its name is written as: a class's, or the first word of a `Listing` or `Facts`."""
    written = re.compile(r'(?:^    name = |\b(?:Listing|Facts)\(\s*)"([a-z-]+)"', re.MULTILINE)
    sources = [
        path
        for path in SOURCE.rglob("*.py")
        if path.name not in ("operation.py", "unit_operations.py", "meter_operations.py", "model.py")
    ]
    names = {name for path in sources for name in written.findall(path.read_text("utf-8"))}
    assert names - SHOWN_ONLY == set(schemas.DOCUMENTS) - ELSEWHERE


def test_every_document_conforms_to_its_schema(run: Shell) -> None:
    run.all(*STORY)
    run.file("lines.ndjson", LINES)
    run("backfill lines.ndjson --plan-out plan.ndjson", now=LATER)
    run.file("export.ndjson", run("export --all --plans").out)
    for name, lines in PRINTED.items():
        for line in lines:
            if name == "lock":
                hold_lock(run, "2026-11-30T08:01:00.000Z")
            answer = run.json(line, now=LATER)
            assert answer.out, (line, answer)
            assert answer.doc["schema"] == f"meterctl.{name}.v1", line
            conforms(answer.doc, name)
    answers = (run.place / "answers.ndjson").read_text().splitlines()
    assert len(answers) == len(LINES.splitlines())
    for answered in answers:
        conforms(json.loads(answered), "backfill-line")
    header, *planned = (run.place / "plan.ndjson").read_text().splitlines()
    conforms(json.loads(header), "saved-plan")
    assert len(planned) == 2
    for line in planned:
        conforms(json.loads(line), "saved-plan-line")


#: Every operation of the second edition, with the status and the reason of its receipt.
RECEIPTS = [
    ("meter hold emma 5 --ref h9 --dry-run", "planned", None),
    ("meter hold emma 5 --ref h9", "applied", None),
    ("meter hold emma 5 --ref h9", "replayed", None),
    ("meter hold emma 6 --ref h9", "conflict", None),
    ("meter hold emma 500000 --ref h8", "refused", "insufficient_balance"),
    ("meter attribute emma r9 --units 2 --hold h9 --dry-run", "planned", None),
    ("meter attribute emma r9 --units 2 --hold h9", "applied", None),
    ("meter attribute emma r9 --units 2 --hold h9", "replayed", None),
    ("meter attribute emma r9 --units 2 --hold h7", "conflict", None),
    ("meter attribute emma r10 --units 2 --hold h9", "applied", None),
    ("meter release emma --ref h9", "unchanged", None),
    ("meter release emma --ref h0", "refused", "unknown_hold"),
    ("undo emma --run r9 --reason why --yes --dry-run", "planned", None),
    ("undo emma --run r9 --reason why --yes", "applied", None),
    ("undo emma --run r9 --reason why --yes", "replayed", None),
    ("undo emma --run run1 --reason why --yes", "refused", "week_closed"),
    ("undo emma --of hold:h9 --reason why --yes", "refused", "not_undoable"),
    ("undo emma --ref none --reason why --yes", "refused", "unknown_entry"),
    ("undo emma 1 --of debit:r1 --reason why --yes", "refused", "entry_moved"),
    ("adjust emma 40 --ref g9 --reason why --expires 30d --priority 0", "applied", None),
    ("adjust emma -50 --ref g8 --lot {lot} --reason why", "refused", "insufficient_lot"),
    ("adjust emma -5 --ref g8 --lot 999 --reason why", "refused", "unknown_lot"),
    ("adjust emma -5 --ref g8 --lot {lot} --reason why --dry-run", "planned", None),
    ("adjust emma -5 --ref g8 --lot {lot} --reason why", "applied", None),
    ("lot extend emma {lot} --expires 60d --ref x9 --reason why --dry-run", "planned", None),
    ("lot extend emma {lot} --expires never --ref x9 --reason why", "applied", None),
    ("lot extend emma {lot} --expires never --ref x9 --reason why", "replayed", None),
    ("lot extend emma {lot} --expires 2026-11-01 --ref x8 --reason why", "refused", "expires_in_past"),
    ("lot extend emma 999 --expires never --ref x8 --reason why", "refused", "unknown_lot"),
    ("lot void emma {lot} --ref v9 --reason why --yes --dry-run", "planned", None),
    ("lot void emma {lot} --ref v9 --reason why --yes", "applied", None),
    ("lot void emma {lot} --ref v9 --reason why --yes", "replayed", None),
    ("lot void emma {lot} --ref v8 --reason why --yes", "refused", "lot_gone"),
    ("undo emma {lot} --reason why --yes", "refused", "lot_partly_used"),
    ("undo emma --ref v9 --reason why --yes", "applied", None),
    ("plan assign emma free --ref p8 --from next-week --dry-run", "planned", None),
    ("plan assign emma free --ref p8 --from next-week", "applied", None),
    ("plan assign emma free --ref p8 --from next-week", "replayed", None),
    ("plan assign emma free --ref p7 --from next-week", "unchanged", None),
    ("plan assign emma free --ref p7 --from 2029-01-01", "refused", "too_far_ahead"),
    ("plan assign emma free --ref p7 --from 2026-11-01", "refused", "from_in_past"),
    ("plan assign emma none --ref p7", "refused", "unknown_plan"),
    ("credit-pack dora small --session cs_9 --name pi_9 --expires 2026-11-01", "applied", None),
    ("credit-pack dora small --session pi_9", "replayed", None),
    ("credit-pack emma small --session pi_9", "refused", "session_claimed"),
    ("credit-pack dora small --session cs_8 --currency xxx", "refused", "unknown_currency"),
    ("credit-pack dora any --session cs_8", "refused", "amount_required"),
    ("refund dora --session pi_two --unused --refund-id re_9", "applied", None),
    ("refund dora --session cs_two --cents 1 --refund-id re_9", "conflict", None),
    ("refund dora --session cs_two --cents 5000 --refund-id re_8", "refused", "refund_exceeds_payment"),
]


def test_every_answer_of_the_newer_operations_conforms(run: Shell) -> None:
    run.all(*STORY)
    run.all(
        "adjust emma 900 --ref g1 --reason why",
        "plan assign emma pro --ref p1",
        "debit emma 5 --ref r1",
        "meter attribute emma run1 --units 5",
    )
    lot = None
    for line, status, reason in RECEIPTS:
        answer = run.json(line.format(lot=lot), now=LATER)
        assert (answer.doc["status"], answer.doc["reason"]) == (status, reason), (line, answer)
        conforms(answer.doc, "receipt")
        if "--priority 0" in line:
            lot = answer.doc["entry"]["seq"]
    # Rolled-over units and repaired claims have documents of their own.
    run.all("plan publish roll --quota 50 --rollover-max 20", "plan assign dora roll --ref pr", now=LATER)
    swept = run.json("expire --all", now="2026-12-07T00:00:00.000Z").doc
    assert swept["rolled_over_units"] == 20
    conforms(swept, "sweep")
    conforms(run.json("verify --all --repair-claims", now=LATER).doc, "repair")


def test_a_receipt_knows_its_codes(run: Shell) -> None:
    receipt = run.doc("adjust acme 5 --ref a1 --reason why")
    for change in ({"reason": "because"}, {"warnings": [{"code": "odd", "message": "odd"}]}):
        with pytest.raises(ValueError, match=r"odd|because"):
            conforms({**receipt, **change}, "receipt")


def test_entries_of_every_kind_conform(run_anywhere: Shell) -> None:
    run_anywhere.all(*STORY)
    run_anywhere.all("expire --all", now=LATER)
    entries = [json.loads(line) for line in run_anywhere.journal().splitlines()]
    assert {entry["kind"] for entry in entries} == set(KINDS)
    for entry in entries:
        conforms(entry, "entry")


@pytest.mark.parametrize(
    "line", ["debit acme 1e3 --ref r1", "plan show gold", "frobnicate", "-o json --store x:y init"]
)
def test_errors_conform(run: Shell, line: str) -> None:
    conforms(run.json(line).error, "error")


@pytest.mark.parametrize("make", samples.SAMPLES.values(), ids=samples.SAMPLES.keys())
def test_samples_that_other_tests_rest_on_conform(make: Callable[[], Result]) -> None:
    result = make()
    if result.name in schemas.DOCUMENTS:
        conforms(json.loads(json.dumps(result.document(), default=dict)))


def test_a_schema_is_a_document_of_json_schema(run: Shell) -> None:
    for name in schemas.DOCUMENTS:
        schema = run.json("schema", name).doc
        assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
        assert (schema["$id"], schema["title"]) == (f"urn:meterctl:{name}:v1", f"meterctl.{name}.v1")
        assert schema["description"]


@pytest.mark.parametrize("name", schemas.DOCUMENTS)
def test_a_schema_describes_in_plain_words(name: str) -> None:
    assert "``" not in json.dumps(schemas.json_schema(name))


def test_a_schema_has_its_documents_name_in_short_or_in_full(run: Shell) -> None:
    schema = run.json("schema receipt").doc
    assert run("schema meterctl.receipt.v1 --json").doc == schema
    assert json.loads(run("schema receipt").out) == schema


def test_the_list_of_schemas_says_what_each_describes(run: Shell) -> None:
    listed = {schema["name"]: schema["describes"] for schema in run.doc("schema")["schemas"]}
    assert list(listed) == list(schemas.DOCUMENTS)
    for name, text in listed.items():
        assert text == schemas.json_schema(name)["description"].partition("\n\n")[0].replace("\n", " ")


def test_every_field_of_a_schema_says_what_it_means_or_has_a_type_that_does() -> None:
    for name in schemas.DOCUMENTS:
        schema = schemas.json_schema(name)
        for record in [schema, *schema.get("$defs", {}).values()]:
            for field, told in record.get("properties", {}).items():
                plain = told.get("type") in ("string", "integer", "number", "boolean")
                named = field == "kind" or "enum" in told or "const" in told
                assert not plain or named or told.get("description"), (name, field)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"amount": "5"}, "amount"),
        ({"amount": 5.0}, "amount"),
        ({"seq": 0}, "seq"),
        ({"at": "2026-11-16T12:00:00Z"}, "at"),
        ({"balance": 2**53}, "balance"),
        ({"hash": "0" * 63}, "hash"),
        ({"kind": "gift"}, "kind"),
        ({"state": None}, "state"),
    ],
)
def test_what_is_no_entry_does_not_conform(run: Shell, change: dict[str, Any], field: str) -> None:
    entry = run.doc("adjust acme 5 --ref a1 --reason why")["entry"]
    conforms(entry, "entry")
    with pytest.raises(ValueError, match=field):
        schemas.adapter("entry").validate_python(entry | change, strict=True)


def test_a_name_that_is_nearly_one(run: Shell) -> None:
    answer = run.json("schema recipt")
    assert (answer.code, answer.error["code"]) == (3, "unknown_schema")
    assert "did you mean 'receipt'?" in answer.error["message"]
