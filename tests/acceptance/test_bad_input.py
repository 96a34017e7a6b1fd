"""What cannot mean anything: a code, a hint, nothing on standard output, and a journal without a changed byte."""

import re
from pathlib import Path

import pytest

from tests.acceptance.shell import CONFIG, NOW, Shell

CREDIT = "credit-pack acme small --session s1"

#: Line and the code of its error; all of them exit with 2.
UNUSABLE = {
    # units
    "debit acme 120.0 --ref r1": "bad_number",
    "debit acme 1e3 --ref r1": "bad_number",
    "debit acme 0 --ref r1": "bad_number",
    "debit acme -- -5 --ref r1": "usage",
    "debit acme -5 --ref r1": "bad_number",
    "debit --ref r1 -- acme -5": "bad_number",
    "debit acme 9007199254740992 --ref r1": "bad_number",
    "debit acme 99999999999999999999 --ref r1": "bad_number",
    "debit acme 1_000 --ref r1": "bad_number",
    "debit acme 1,000 --ref r1": "bad_number",
    "debit acme '5 ' --ref r1": "bad_number",
    "debit acme ٣ --ref r1": "bad_number",
    "debit acme 0x10 --ref r1": "bad_number",
    "debit acme nan --ref r1": "bad_number",
    "debit acme '' --ref r1": "bad_number",
    "adjust acme 0 --ref a1 --reason why": "bad_number",
    "adjust acme -9007199254740992 --ref a1 --reason why": "bad_number",
    "adjust acme 1.5 --ref a1 --reason why": "bad_number",
    "adjust acme -5 --ref a1 --reason why --expires 2027-01-01": "bad_expires",
    "meter attribute acme run1 --units -5": "bad_number",
    "meter attribute acme run1 --units 0": "bad_number",
    "meter attribute acme run1 --units 5 --plan-version -1": "bad_number",
    "meter check acme --units -1": "bad_number",
    "undo acme 0 --reason why --yes": "bad_number",
    "undo acme last --reason why --yes": "bad_number",
    "ledger acme --limit 0": "bad_number",
    "ledger acme --before 0": "bad_number",
    "meter history acme --limit x": "bad_number",
    # money
    "credit-pack acme small --session s2 --paid-cents 0": "bad_number",
    "credit-pack acme small --session s2 --paid-cents -500": "bad_number",
    "credit-pack acme small --session s2 --paid-cents 5.00": "bad_number",
    "credit-pack acme small --session s2 --paid-cents free": "bad_number",
    "credit-pack acme small --session s2 --paid-cents 9007199254740992": "bad_number",
    "credit-pack --from-payment order.json --session s2": "usage",
    "credit-pack --from-payment order.json --from-stripe cs_test_1": "usage",
    "credit-pack --from-stripe cs_test_1 --paid-cents 500": "usage",
    "credit-pack acme small --session s2 --accept-paid": "usage",
    "meter attribute acme run1 --cost llm=1 --cost llm=2": "bad_costs",
    "refund acme --session s1 --cents 0 --refund-id re1": "bad_number",
    "refund acme --session s1 --cents -1 --refund-id re1": "bad_number",
    "refund acme --session s1 --cents 2.50 --refund-id re1": "bad_number",
    # ids
    "debit 'acme corp' 5 --ref r1": "bad_org",
    "debit acme,eu 5 --ref r1": "bad_org",
    "debit '' 5 --ref r1": "bad_org",
    "debit @acme 5 --ref r1": "bad_org",
    "debit acme$ 5 --ref r1": "bad_org",
    "balance 'acme corp'": "bad_org",
    "ledger 'acme corp'": "bad_org",
    "export 'acme corp'": "bad_org",
    "expire 'acme corp'": "bad_org",
    "meter show 'acme corp'": "bad_org",
    "debit acme 5 --ref 'r 1'": "bad_ref",
    "debit acme 5 --ref ''": "bad_ref",
    "credit-pack acme small --session 's 1'": "bad_session",
    "credit-pack acme 'small pack' --session s2": "bad_pack",
    "refund acme --session s1 --cents 5 --refund-id 're 1'": "bad_refund_id",
    "refund acme --reverse 're 1'": "bad_refund_id",
    "meter attribute acme 'run 1' --units 5": "bad_run",
    "meter attribute acme run1 --units 5 --step 'step 1'": "bad_step",
    "meter attribute acme run1 --cost 'llm|gpt=0.1'": "bad_feature",
    "meter attribute acme run1 --cost default=0.1": "bad_feature",
    "meter attribute acme run1 --cost base=0.1": "bad_feature",
    "plan assign acme 'pro plus' --ref p1": "bad_plan",
    "ledger --session 's 1'": "bad_session",
    "ledger acme --ref 'r 1'": "bad_ref",
    "ledger acme --kind topups": "bad_kind",
    # times
    "debit acme 5 --ref r1 --at soon": "bad_time",
    "debit acme 5 --ref r1 --at 2d": "bad_time",
    "debit acme 5 --ref r1 --at 2026-13-01": "bad_time",
    "debit acme 5 --ref r1 --at 2026-02-29": "bad_time",
    "debit acme 5 --ref r1 --at 1763294400": "bad_time",
    "adjust acme 5 --ref a1 --reason why --expires 90x": "bad_time",
    "balance acme --as-of soon": "bad_time",
    "ledger acme --since 2026-W54": "bad_time",
    "ledger acme --until 5y": "bad_time",
    "--now noon balance acme": "bad_time",
    # what belongs together, and what does not
    "debit acme 5": "usage",
    "debit acme --ref r1": "usage",
    "debit acme 5 --ref": "usage",
    "debit acme 5 6 --ref r1": "usage",
    "debit acme 5 --ref r1 --allow-dept": "usage",
    "credit-pack acme small": "usage",
    "adjust acme 5 --ref a1": "reason_required",
    "adjust acme 5 --ref a1 --reason ' '": "bad_reason",
    "adjust acme -5 --ref a1 --reason why --allow-dept": "usage",
    "adjust acme -5y --ref a1 --reason why": "bad_number",
    "undo acme 1 --yes": "reason_required",
    "reset-week acme --force --ref f1 --yes": "reason_required",
    "reset-week acme --force --reason why --yes": "usage",
    "reset-week acme --all --force --ref f1 --reason why --yes": "usage",
    "reset-week acme --force --ref f1 --reason why --yes --limit 3": "usage",
    "reset-week --all --ref f1": "usage",
    "reset-week": "usage",
    "expire": "usage",
    "expire acme --all": "usage",
    "export": "usage",
    "export acme --all": "usage",
    "ledger": "usage",
    "refund acme --session s1 --cents 5": "usage",
    "refund acme --refund-id re1": "usage",
    "refund acme --reverse re1 --cents 5": "usage",
    "meter attribute acme run1": "bad_costs",
    "meter attribute acme run1 --units 5 --cost llm=1": "bad_costs",
    "meter attribute acme run1 --cost llm": "bad_costs",
    "meter attribute acme run1 --cost llm=1 --costs costs.json": "usage",
    "meter attribute acme run1 --costs missing.json": "bad_costs",
    "plan publish pro": "usage",
    "plan publish pro --quota -1": "bad_number",
    "plan publish pro --quota 5 --ratio llm=cheap": "bad_ratio",
    "plan publish pro --quota 5 --ratio llm=-1": "bad_ratio",
    "plan publish pro --quota 5 --ratio llm=1 --ratio llm=2": "bad_ratio",
    "plan publish --from-config --quota 5": "usage",
    "plan publish pro --quota 5 --effective-from 2026-12-01 --at 2026-11-16": "usage",
    "events events.ndjson --at 2026-11-16": "usage",
    "lock break sweep --reason why --at someday": "bad_time",
    "lock break sweep": "reason_required",
    "orgs --sort colour": "bad_sort",
    "orgs --expiring soon": "bad_time",
    # the program itself
    "frobnicate": "usage",
    "meter frobnicate": "usage",
    "balance acme --frobnicate": "usage",
    "--store redis://localhost balance acme": "bad_store",
    "--store meterctl.db balance acme": "bad_store",
    "--store sqlite: balance acme": "bad_store",
    "--store mongodb:// balance acme": "bad_input",
    "--config missing.toml balance acme": "bad_config",
    f"expire --all --metrics-file {'9' * 5000}": "bad_file",
    f"verify --all --metrics-file {'9' * 5000}": "bad_file",
}


@pytest.mark.parametrize("file", ["meterctl.db", "./meterctl.toml", "-"])
@pytest.mark.parametrize(
    "line",
    [
        "expire --all --metrics-file",
        "reset-week --all --metrics-file",
        "backfill lines --results",
        "events - --pending",
    ],
)
def test_nothing_is_written_over_the_store_or_the_config(run: Shell, line: str, file: str) -> None:
    run.all(CREDIT)
    run.file("lines", "")
    config, journal = (run.place / "meterctl.toml").read_bytes(), run.journal()
    answer = run.json(f"{line} {file}")
    assert (answer.code, line.split()[-1] in answer.error["message"]) == (2, True)
    assert ((run.place / "meterctl.toml").read_bytes(), run.journal()) == (config, journal)
    assert not (run.place / "-").exists()


@pytest.mark.parametrize("line", UNUSABLE)
def test_bad_input_is_2_and_changes_nothing(run: Shell, line: str) -> None:
    run.all(CREDIT)
    journal = run.journal()
    answer = run.json(line)
    assert (answer.code, answer.error["code"]) == (2, UNUSABLE[line])
    assert answer.error["message"]
    assert answer.error["hint"]
    assert run.journal() == journal


#: Lines of which something is missing, and what is told of that.
INCOMPLETE = {
    "--store sqlite: balance acme": "has no path",
    "plan publish pro --quota 5 --ratio llm": "--ratio 'llm' is not FEATURE=RATIO",
}


@pytest.mark.parametrize("line", INCOMPLETE)
def test_what_is_missing_is_told(run: Shell, line: str) -> None:
    assert INCOMPLETE[line] in run.json(line).error["message"]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("debit", "acme\n", "5", "--ref", "r1"), "bad_org"),
        (("debit", "ac\x1b[31mme", "5", "--ref", "r1"), "bad_org"),
        (("debit", "acme", "5", "--ref", "r\x00"), "bad_ref"),
        (("debit", "acme", "5", "--ref", "r\u202e1"), "bad_ref"),
        (("debit", "acme", "5", "--ref", "\udcff"), "bad_ref"),
        (("debit", "acme", "5", "--ref", "r" * 201), "bad_ref"),
        (("debit", "a" * 129, "5", "--ref", "r1"), "bad_org"),
        (("credit-pack", "acme", "small", "--session", "s\t1"), "bad_session"),
        (("meter", "attribute", "acme", "run\n1", "--units", "5"), "bad_run"),
        (("meter", "attribute", "acme", "run1", "--units", "5", "--step", "a" * 65), "bad_step"),
        (("debit", "acme", "5", "--ref", "r1", "--reason", "x" * 2001), "bad_reason"),
        (("debit", "acme", "5", "--ref", "r1", "--reason", "\udcff"), "bad_reason"),
        (("debit", "acme", "5", "--ref", "r1", "--actor", " "), "bad_actor"),
        (("ledger", "--session", "\udcff"), "bad_session"),
    ],
)
def test_control_characters_and_excess_are_refused_and_never_obeyed(
    run: Shell, words: tuple[str, ...], code: str
) -> None:
    run.all(CREDIT)
    journal = run.journal()
    answer = run.json(*words)
    assert (answer.code, answer.error["code"]) == (2, code)
    told = run(*words)
    assert (told.code, told.out) == (2, "")
    assert all(character.isprintable() or character == "\n" for character in told.err)
    assert run.journal() == journal


def test_what_a_message_quotes_is_cut(run: Shell) -> None:
    long = "[" * 100_000
    for line in (
        ["debit", "acme", long, "--ref", "r1"],
        ["backfill", run.file("long.csv", long)],
        ["balance", long],
    ):
        error = run.json(*line).error
        assert len(error["message"]) <= 500
        assert len(run(*line).err) < 1500


@pytest.mark.parametrize(
    "cost", ["nan", "NaN", "inf", "-inf", "Infinity", "-0.01", "1e999", "", "0,5", "$1", "1/3", "٣"]
)
def test_a_cost_that_is_no_cost_is_refused(run: Shell, cost: str) -> None:
    run.all(CREDIT, "meter attribute acme run0 --cost llm=0.01")
    journal = run.journal()
    answer = run.json("meter", "attribute", "acme", "run1", "--cost", f"llm={cost}")
    assert (answer.code, answer.doc["reason"]) == (4, "invalid_cost")
    assert "decimal" in answer.doc["hint"]
    assert run.journal() == journal


@pytest.mark.parametrize(
    ("text", "code", "reason"),
    [
        ('{"llm": NaN}', 2, "bad_costs"),
        ('{"llm": -Infinity}', 2, "bad_costs"),
        ('{"llm": -1}', 4, "invalid_cost"),
        ('{"llm": true}', 2, "bad_costs"),
        ('{"llm": null}', 2, "bad_costs"),
        ('{"llm": {"usd": 1}}', 2, "bad_costs"),
        ('["llm", 1]', 2, "bad_costs"),
        ('{"llm": 1', 2, "bad_costs"),
        ("", 2, "bad_costs"),
        ('{"llm": 0.1, "llm": 0.9}', 2, "bad_costs"),
        ("[" * 100_000, 2, "bad_costs"),
        ('{"llm": 1e9999999999999999999}', 2, "bad_costs"),
        ('{"base": 1}', 2, "bad_feature"),
    ],
)
def test_a_file_of_costs(run: Shell, text: str, code: int, reason: str) -> None:
    journal = run.journal()
    answer = run.json("meter", "attribute", "acme", "run1", "--costs", run.file("costs.json", text))
    assert answer.code == code
    assert (answer.doc["reason"] if code == 4 else answer.error["code"]) == reason
    assert run.journal() == journal


@pytest.mark.parametrize("file", ["/dev/zero", "."])
def test_costs_are_read_from_a_short_file(run: Shell, file: str) -> None:
    answer = run.json(f"meter attribute acme run1 --costs {file}")
    assert (answer.code, answer.error["code"]) == (2, "bad_costs")
    assert answer.error["message"].startswith(f"no costs from {file}: ")


def test_costs_in_another_encoding_are_told(run: Shell) -> None:
    Path("costs.json").write_text('{"llm": "0.1"}', encoding="utf-16")
    answer = run.json("meter attribute acme run1 --costs costs.json")
    assert (answer.code, answer.error["message"]) == (2, "no costs from costs.json: byte 1 is not UTF-8")


def test_a_byte_order_mark_before_costs_is_skipped(run: Shell) -> None:
    costs = run.file("costs.json", '\ufeff{"llm": "0.29"}')
    assert run.doc(f"meter attribute acme run1 --costs {costs}")["entry"]["amount"] == -290


def test_numbers_in_a_file_of_costs_stay_as_written(run: Shell) -> None:
    run.all("plan publish free --quota 100")
    costs = run.file("costs.json", '{"llm": 0.290, "search": "1.001", "web": 2}')
    entry = run.doc(f"meter attribute acme run1 --costs {costs}")["entry"]
    assert entry["breakdown"] == {"llm": 290, "search": 1001, "web": 2000}
    assert entry["input"]["costs"] == {"llm": "0.29", "search": "1.001", "web": "2"}


@pytest.mark.parametrize("ratio", ["'-0'", "1000000000000000", "0.1234567890123456789012"])
def test_a_plan_of_the_config_keeps_the_rule_for_ratios(run: Shell, ratio: str) -> None:
    """Found when the config is read: no plan before it in the file is published alone."""
    plans = f"[plans.free]\nweekly_quota = 5\n[plans.pro]\nweekly_quota = 5\nratios = {{ llm = {ratio} }}\n"
    config = run.file("plans.toml", plans)
    answer = run.json("plan", "publish", "--from-config", "--config", config)
    assert (answer.code, answer.error["code"]) == (2, "bad_config")
    assert "plans.pro.ratios.llm: " in answer.error["message"]
    assert run.doc("plan list")["plans"] == []


def test_an_option_that_nobody_knows_is_told_as_that_beside_a_negative_number(run: Shell) -> None:
    run.all(CREDIT)
    for option in ("--allow-dept", "--dryrun"):
        message = run.json(f"adjust acme {option} -5 --ref a1 --reason why").error["message"]
        assert f"No such option: {option}" in message
    assert run.doc("adjust acme -5 --ref a1 --reason why")["entry"]["amount"] == -5


# The config

PACK = "[packs.p]\nunits = 5\nprice_cents = 5\ncurrency = 'usd'\n"
MISTAKES = {
    "defualt_plan = 'free'": ("defualt_plan", "did you mean default_plan?"),
    "[pakcs.small]\nunits = 5": ("pakcs", "did you mean packs?"),
    "[packs.small]\nunits = 5\nprice_cents = 5\ncurrency = 'usd'\nexpiry_day = 3": (
        "packs.small.expiry_day",
        "did you mean expiry_days?",
    ),
    "[plans.pro]\nweekly_qouta = 5": ("plans.pro.weekly_qouta", "did you mean weekly_quota?"),
    "[packs.small]\nunits = 0\nprice_cents = 5\ncurrency = 'usd'": ("packs.small.units", ">= 1"),
    "[packs.small]\nunits = 1.5\nprice_cents = 5\ncurrency = 'usd'": ("packs.small.units", "a whole number"),
    "[packs.small]\nunits = 5\nprice_cents = -5\ncurrency = 'usd'": (
        "packs.small.price_cents",
        ">= 0",
    ),
    "[packs.small]\nunits = 5\nprice_cents = 5\ncurrency = 'USD'": ("packs.small.currency", "such as usd"),
    "[packs.small]\nunits = 5\nprice_cents = 5": ("packs.small.currency", "required"),
    "[packs.'small pack']\nunits = 5\nprice_cents = 5\ncurrency = 'usd'": ("packs.small pack", "letters, digits"),
    "[packs.small]\nunits = 9007199254740992\nprice_cents = 5\ncurrency = 'usd'": ("packs.small.units", "number <= 9"),
    "meter_mode = 'yes'": ("meter_mode", "true or false"),
    "overage = 'ignore'": ("overage", "'debt' or 'absorb'"),
    "thresholds = [80, 80]": ("thresholds", "twice"),
    "thresholds = 80": ("thresholds", "a list"),
    "thresholds = [0]": ("thresholds.0", ">= 1"),
    "dollars_to_units = 'many'": ("dollars_to_units", "decimal"),
    "dollars_to_units = nan": ("dollars_to_units", "decimal"),
    "run_base = -1": ("run_base", ">= 0"),
    "default_plan = 'a b'": ("default_plan", "letters, digits"),
    "[plans.pro]\nweekly_quota = 5\nratios = { llm = '-1' }": ("plans.pro.ratios.llm", "decimal"),
    "[plans.pro]\nweekly_quota = 5\nratios = { base = 1 }": ("plans.pro.ratios.base", "reserved"),
    "packs.small = 5": ("packs.small", "a table"),
    "packs = 5": ("packs", "a table"),
    "[packs.p]\nunits = 5\ncurrency = 'usd'": ("packs.p.price_cents", "or unit_price_cents"),
    "[packs.p]\nunits = 5\nunit_price_cents = 1\ncurrency = 'usd'": ("packs.p.units", "leave one out"),
    "[packs.p]\nunit_price_cents = 0\ncurrency = 'usd'": ("packs.p.unit_price_cents", "> 0"),
    f"{PACK}priority = 101": ("packs.p.priority", "<= 100"),
    f"{PACK}prices = {{ usd = 4 }}": ("packs.p.prices.usd", "price_cents"),
    f"{PACK}prices = {{ Euro = 4 }}": ("packs.p.prices.Euro", "such as usd"),
    f"{PACK}prices = {{ eur = '4' }}": ("packs.p.prices.eur", "a whole number"),
    f"{PACK}stripe_prices = 'price_1'": ("packs.p.stripe_prices", "a list of price ids"),
    f"{PACK}stripe_prices = ['price 1']": ("packs.p.stripe_prices.0", "such as price_1A2b3C"),
    f"{PACK}stripe_prices = ['price_1']\n[plans.pro]\nweekly_quota = 5\nstripe_prices = ['price_1']": (
        "plans.pro.stripe_prices",
        "price_1 is a price of packs.p too",
    ),
    "[plans.pro]\nweekly_quota = 5\nrollover_max = -1": ("plans.pro.rollover_max", ">= 0"),
    "[plans.pro]\nweekly_quota = 5\nrollover_weeks = 0": ("plans.pro.rollover_weeks", ">= 1"),
    "[plans.pro]\nweekly_quota = 5\nratios = 5": ("plans.pro.ratios", "a table"),
    "balance_alerts = [0, 0]": ("balance_alerts", "twice"),
    "balance_alerts = [1.0]": ("balance_alerts.0", "a whole number"),
    f"thresholds = {list(range(1, 30))}": ("thresholds", "at most 20"),
    "require_reason = ['debits']": ("require_reason.0", "did you mean debit?"),
    "reason_pattern = '['": ("reason_pattern", "a regular expression"),
    "reason_pattern = 5": ("reason_pattern", "a text in quotes"),
    "max_clock_skew = '5 minutes'": ("max_clock_skew", "5m"),
    "max_clock_skew = 0": ("max_clock_skew", "from 1s to 1d"),
    "max_clock_jump = '60s'": ("max_clock_jump", "from 1h to 3650d"),
    "max_clock_jump = true": ("max_clock_jump", "a span of time"),
    "[limits]\nadjusts = 5": ("limits.adjusts", "did you mean adjust?"),
    "[limits]\nadjust = -5": ("limits.adjust", ">= 0"),
    "[stripe]\norg = ['metdata.org']": ("stripe.org.0", "metadata.KEY"),
    "[stripe]\norg = []": ("stripe.org", "1 to 20"),
    "[stripe]\norg = 'customer'": ("stripe.org", "a list of places"),
    "[stripe]\norg = ['price']": ("stripe.org.0", "client_reference_id"),
    "[stripe]\npack = ['prise']": ("stripe.pack.0", "or price"),
    "[stripe]\nonly = { 'metadata.kind' = 5 }": ("stripe.only.metadata.kind", "a text in quotes"),
    "[stripe]\npayments = ['invoices']": ("stripe.payments.0", "did you mean invoice?"),
    "[stripe]\ndiscounts = 'maybe'": ("stripe.discounts", "'refuse' or 'accept'"),
    "[stripe]\naccount = 'me'": ("stripe.account", "acct_"),
    "[profiles.p]\nstore = 'sqlite:a'\nstore_file = 'b'": ("profiles.p.store_file", "leave one out"),
    "[profiles.p]\ncollection_prefix = 'system.x'": ("profiles.p.collection_prefix", "not with system."),
    "[profiles.p]\nlimits = 5": ("profiles.p.limits", "a table"),
    "[profiles.p.limits]\ndebt = 'none'": ("profiles.p.limits.debt", "a whole number"),
    "default_plan = 1.5": ("default_plan", "a text in quotes"),
    "overage = 1.5": ("overage", "'debt' or 'absorb'"),
}


@pytest.mark.parametrize("text", MISTAKES)
def test_a_mistake_in_the_config_names_file_key_and_what_would_be_right(run: Shell, text: str) -> None:
    run.all(CREDIT)
    journal = run.journal()
    path = run.config(text)
    answer = run.json("credit-pack acme small --session s2")
    key, right = MISTAKES[text]
    assert (answer.code, answer.error["code"]) == (2, "bad_config")
    assert str(path) in answer.error["message"]
    assert f"{key}:" in answer.error["message"]
    assert right in answer.error["message"]
    assert not re.search("Input|String|Value error|should", answer.error["message"])  # the checker's own words
    assert answer.error["hint"]
    run.config(CONFIG)
    assert run.journal() == journal


#: TOML, but beyond what Python takes: a number's digits, and brackets in brackets.
EXCESS = [
    b"run_base = " + b"9" * 5000,
    b"dollars_to_units = 0x" + b"f" * 5000,
    b"thresholds = " + b"[" * 5000 + b"]" * 5000,
]


@pytest.mark.parametrize("content", [b"[packs\n", b"units = \n", b"a = 1\na = 2\n", b"\xff\xfe\x00", *EXCESS])
def test_a_config_that_is_no_toml(run: Shell, content: bytes) -> None:
    path = run.place / "meterctl.toml"
    path.write_bytes(content)
    answer = run.json("balance acme")
    assert (answer.code, answer.error["code"]) == (2, "bad_config")
    assert str(path) in answer.error["message"]
    assert answer.error["hint"]


@pytest.mark.parametrize("name", ["missing.toml", "."])
def test_a_config_that_cannot_be_read(run: Shell, name: str) -> None:
    run.setenv("METERCTL_CONFIG", name)
    answer = run.json("balance acme")
    assert (answer.code, answer.error["code"]) == (2, "bad_config")
    assert name in answer.error["message"]


def test_all_mistakes_of_a_config_are_told_at_once(run: Shell) -> None:
    run.config("defualt_plan = 'free'\nrun_base = -1\n")
    message = run.json("balance acme").error["message"]
    assert "defualt_plan" in message
    assert "run_base" in message


def test_every_key_of_the_config_is_taken(run: Shell) -> None:
    run.config(EVERY_KEY)
    shown = run.doc("config show --profile prod")
    assert shown["packs"]["small"] == {
        "units": 1000, "price_cents": 500, "currency": "usd", "expiry_days": 90, "priority": 20,
        "prices": {"eur": 460, "jpy": 700}, "stripe_prices": ["price_1A", "price_1B"], "unit_price_cents": None,
    }  # fmt: skip
    assert (shown["packs"]["any"]["unit_price_cents"], shown["packs"]["any"]["units"]) == ("0.5", None)
    assert (shown["max_clock_skew"], shown["max_clock_jump"]) == (120, 40 * 86_400)
    assert (shown["thresholds"], shown["balance_alerts"]) == ([50, 100], [1000, 0, -50])
    assert shown["limits"] == {
        "adjust": 100_000, "debit": 7, "debt": 5000, "refund_cents": 50_000, "approval_over": 1_000_000
    }  # fmt: skip
    assert (shown["require_reason"], shown["reason_pattern"]) == ([], "PROD")
    assert shown["plans"]["pro"]["rollover_max"] == 50
    assert shown["stripe"]["only"] == {"metadata.kind": "extras"}
    assert shown["stripe"]["account"] == "acct_1"
    assert run.doc("config show")["limits"]["debit"] == 100_000
    assert run.doc("config show")["require_reason"] == ["debit", "refund", "credit-pack"]


EVERY_KEY = """
meter_mode = true
default_plan = "free"
dollars_to_units = 1e3
run_base = 1
max_units_per_run = 0
thresholds = [100, 50]
balance_alerts = [0, 1000, -50]
overage = "debt"
settle_overage = true
require_reason = ["debit", "refund", "credit-pack"]
reason_pattern = "TCK-[0-9]+"
max_clock_skew = "2m"
max_clock_jump = 3456000
allow_time_travel = false
[limits]
adjust = 100000
debit = 100000
debt = 5000
refund_cents = 50000
approval_over = 1000000
[packs.small]
units = 1000
price_cents = 500
currency = "usd"
expiry_days = 90
priority = 20
prices = { eur = 460, jpy = 700 }
stripe_prices = ["price_1A", "price_1B"]
[packs.any]
unit_price_cents = 0.5
currency = "usd"
[plans.pro]
weekly_quota = 200000
ratios = { default = "1", llm = 1.25 }
rollover_max = 50
rollover_weeks = 2
stripe_prices = ["price_9"]
[stripe]
org = ["payment_intent.metadata.team_id", "metadata.org", "client_reference_id", "customer"]
pack = ["metadata.packId", "price"]
only = { "metadata.kind" = "extras" }
payments = ["checkout", "invoice"]
discounts = "accept"
ignore = ["cs_live_x"]
account = "acct_1"
[profiles.prod]
production = true
collection_prefix = "credits_"
require_reason = []
reason_pattern = "PROD"
limits = { debit = 7 }
"""


def test_a_config_of_a_windows_editor_is_read(run: Shell) -> None:
    (run.place / "meterctl.toml").write_bytes(b"\xef\xbb\xbfdefault_plan = 'pro'\r\nrun_base = 3\r\n")
    assert run.doc("config show")["default_plan"] == "pro"


def test_a_config_without_an_end_is_refused(run: Shell) -> None:
    answer = run.json("--config /dev/zero balance acme")
    assert (answer.code, answer.error["code"]) == (2, "bad_config")
    assert "longer than" in answer.error["message"]


def test_what_is_to_be_tried_with_a_bad_config_works_with_it(run: Shell) -> None:
    run.config("run_base = -1\n")
    tried = run.json("config show").error["hint"].partition(": meterctl ")[2]
    assert run.doc(tried)["run_base"] == 1


# The clock


def test_a_pinned_clock_on_mongodb_needs_a_config_that_allows_it(run_anywhere: Shell) -> None:
    run_anywhere.config("")
    answer = run_anywhere.json("balance acme")
    if "sqlite" in run_anywhere.store:
        assert (answer.code, answer.doc["as_of"]) == (0, NOW)
        return
    assert (answer.code, answer.error["code"]) == (2, "time_travel")
    assert "allow_time_travel" in answer.error["hint"]
    run_anywhere.config("allow_time_travel = true")
    assert run_anywhere.doc("balance acme")["as_of"] == NOW


def test_a_pinned_clock_is_refused_before_mongodb_is_asked(run: Shell) -> None:
    run.config("")
    answer = run.json("--store mongodb://db.invalid/x debit acme 5 --ref r1")
    assert (answer.code, answer.error["code"]) == (2, "time_travel")


def test_no_file_is_made_by_what_is_refused(run: Shell) -> None:
    for line in ("debit acme 1e3 --ref r1", "frobnicate", "balance 'a b'", "--config missing.toml balance acme"):
        assert run(line).code == 2
    assert not Path(run.place, "meterctl.db").exists()
