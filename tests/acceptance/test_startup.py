"""What a command loads: importing costs more than most commands take."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mongod import own_database

#: What no help needs.
HEAVY = {"pymongo", "stripe", "rich", "pydantic", "sqlite3", "tabulate", "plotille", "jinja2"}

#: What a command on the embedded store needs in addition.
EMBEDDED = HEAVY - {"sqlite3"}

PROBE = """
import json, sys
from meterctl.cli import main
code = main(sys.argv[1:])
names = {name.partition(".")[0] for name in sys.modules}
sys.stderr.write(json.dumps([code, sorted(names)]))
"""


def loaded(tmp_path: Path, line: str) -> set[str]:
    """The top-level packages loaded by a command that succeeds."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("METERCTL_")},
        "METERCTL_STORE": f"sqlite:{tmp_path}/meterctl.db",
        "XDG_CONFIG_HOME": str(tmp_path),
    }
    ended = subprocess.run(
        [sys.executable, "-c", PROBE, *line.split()],
        capture_output=True,
        text=True,
        env=environment,
        cwd=tmp_path,
        timeout=60,
        check=True,
    )
    code, names = json.loads(ended.stderr.splitlines()[-1])
    assert code == 0, ended
    return set(names)


@pytest.mark.parametrize("line", ["--help", "--version", "debit --help", "meter --help", "meter attribute --help"])
def test_help_loads_no_store_and_nothing_that_draws(tmp_path: Path, line: str) -> None:
    assert not loaded(tmp_path, line) & HEAVY


@pytest.mark.parametrize(
    "line",
    [
        "adjust acme 5 --ref a1 --reason why",
        "balance acme",
        "ledger acme",
        "ledger acme --chart",
        "meter show acme",
        "meter attribute acme run1 --units 5",
        "expire --all",
        "export --all",
    ],
)
def test_a_command_for_scripts_loads_only_what_it_needs(tmp_path: Path, line: str) -> None:
    assert not loaded(tmp_path, f"{line} --json") & EMBEDDED


def test_a_debit_for_scripts_loads_only_what_it_needs(tmp_path: Path) -> None:
    loaded(tmp_path, "adjust acme 5 --ref a1 --reason why --json")
    assert not loaded(tmp_path, "debit acme 5 --ref r1 --json") & EMBEDDED


LATER = """
import json, sys
from meterctl.process.lazy_modules import load_lazily
load_lazily()
from meterctl.cli import main
code = main(sys.argv[1:])
sys.stderr.write(json.dumps(sorted({%s} & set(sys.modules))))
sys.exit(code)
"""


def test_a_debit_starts_without_what_others_need(tmp_path: Path) -> None:
    """Each of these took more than a hundredth of its start."""
    store = ["--store", f"sqlite:{tmp_path}/meterctl.db", "--json"]
    late = ["_hashlib", "decimal", "random", "selectors", "_bz2", "_lzma", "getpass", "termios"]
    late += [f"meterctl.core.results.{name}" for name in ("answers", "findings", "records", "runs")]
    probe = LATER % ", ".join(map(repr, late))
    found = []
    for line in ("adjust acme 5 --ref a1 --reason why", "debit acme 5 --ref r1 --yes"):
        command = [sys.executable, "-c", probe, *store, *line.split()]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=tmp_path, check=True)
        found += json.loads(ended.stderr.splitlines()[-1])
    assert found == []


#: Parts of libraries that a command on MongoDB does not need: a quarter of its start, and of its processor time.
NOT_FOR_MONGODB = ["asyncio.base_events", "email.message", "importlib.metadata._meta", "tempfile"]
NOT_FOR_MONGODB += ["pymongo.asynchronous.collection", "pymongo.asynchronous.pool", "dns", "gridfs", "requests"]


def test_a_command_on_mongodb_starts_without_the_asynchronous_half(tmp_path: Path) -> None:
    probe = LATER % ", ".join(map(repr, NOT_FOR_MONGODB))
    with own_database() as store:
        for line in ("init", "adjust acme 5 --ref a1 --reason why", "debit acme 1 --ref r1 --yes", "balance acme"):
            command = [sys.executable, "-c", probe, "--store", store, "--json", *line.split()]
            ended = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=tmp_path, check=True)
            assert json.loads(ended.stderr.splitlines()[-1]) == [], line


def test_a_config_is_read_without_a_library(tmp_path: Path) -> None:
    text = (
        "[packs.p]\nunits = 5\nprice_cents = 5\ncurrency = 'usd'\n[plans.pro]\nweekly_quota = 5\nratios = { a = 1.5 }"
    )
    (tmp_path / "meterctl.toml").write_text(text)
    assert not loaded(tmp_path, "credit-pack acme p --session s1 --json") & EMBEDDED


@pytest.mark.parametrize("output", ["json", "ndjson", "csv"])
def test_formats_for_scripts_load_nothing_that_draws(tmp_path: Path, output: str) -> None:
    assert not loaded(tmp_path, f"balance acme -o {output}") & EMBEDDED


@pytest.mark.parametrize("line", ["ledger acme", "ledger acme -o plain", "balance acme", "explain acme"])
def test_only_a_chart_loads_what_draws_charts(tmp_path: Path, line: str) -> None:
    assert "plotille" not in loaded(tmp_path, line)


@pytest.mark.parametrize("output", ["table", "markdown", "plain"])
def test_a_chart_loads_it(tmp_path: Path, output: str) -> None:
    loaded(tmp_path, "adjust acme 5 --ref a1 --reason why --json")
    assert "plotille" in loaded(tmp_path, f"ledger acme --chart -o {output}")


def test_what_the_probe_sees(tmp_path: Path) -> None:
    """So that the tests above cannot pass for want of sight."""
    assert "sqlite3" in loaded(tmp_path, "balance acme --json")
    assert "rich" in loaded(tmp_path, "balance acme")
    assert "pydantic" in loaded(tmp_path, "schema --json")


def test_the_version_is_told_before_anything_is_imported(tmp_path: Path) -> None:
    code = "import sys; sys.argv = ['meterctl', '--version']; from meterctl import __main__ as m; m.run(); "
    code += "sys.exit('typer' in sys.modules or 'meterctl.cli' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, capture_output=True)


def test_what_was_printed_before_a_failure_is_there() -> None:
    code = """if True:
        import sys
        from meterctl import __main__, cli
        from meterctl.core.errors import StoreUnreachable

        def print_and_fail():
            print("a row")
            raise StoreUnreachable("gone")

        cli.help_settings = print_and_fail
        sys.argv = ["meterctl", "export"]
        __main__.run()
    """
    # Whatever the environment says of buffers (-E).
    done = subprocess.run([sys.executable, "-E", "-c", code], check=False, timeout=60, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (10, "a row\n")
    assert "gone" in done.stderr


def test_the_list_of_commands_loads_nothing_that_books(tmp_path: Path) -> None:
    """What only commands need is loaded by the command that runs."""
    code = "import sys; from meterctl.cli import main; main(['--help']); sys.exit(' '.join(set(sys.modules) & {%s}))"
    needless = ["core.model", "core.results", "core.domain.policy", "core.domain.operations", "core.domain.canonical"]
    needless += ["core.booking.ledger", "core.reads.queries", "config.settings", "views.registry"]
    names = ", ".join(f"'meterctl.{name}'" for name in needless) + ", 'orjson', 'tomllib', 'decimal'"
    ended = subprocess.run(
        [sys.executable, "-c", code % names], timeout=60, capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert ended.stderr.strip() == ""
    assert "Usage" in ended.stdout
