"""The files in deploy/ and the runbook: each is valid to the program that reads it, and every command in it works."""

import json
import re
import shlex
import shutil
import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from cronsim import CronSim
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from tests.acceptance.shell import CONFIG, Shell
from tests.programs import needed

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"

MANIFESTS = list(yaml.safe_load_all((DEPLOY / "kubernetes" / "meterctl.yaml").read_text(encoding="utf-8")))
JOBS = [manifest for manifest in MANIFESTS if manifest["kind"] == "CronJob"]
UNITS = sorted(path.name for path in (DEPLOY / "systemd").iterdir())

#: Commands of the runbook that find something on the store that the tests have.
FIND = {"doctor": (0, 8)}


@pytest.fixture
def prod(run: Shell, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """A machine set up as the runbook has it, with its directories in the test's own."""
    (run.place / "store").write_text(f"sqlite:{run.place}/prod.db\n")
    (run.place / "store").chmod(0o600)
    profile = "[plans.free]\nweekly_quota = 100\n[profiles.prod]\nproduction = true\nstore_file = 'store'\n"
    run.config(CONFIG + profile)
    monkeypatch.delenv("METERCTL_STORE")
    run.all("--profile prod init", "--profile prod adjust acme 5 --ref a1 --reason why --yes")
    run.file("credits.ndjson", run("--profile prod export --all --plans").out)
    run.file("since-yesterday.ndjson", "")
    return run


def here(run: Shell, line: str) -> str:
    return re.sub(
        r"/(?:var/lib/node_exporter|var/backups/meterctl|var/log/meterctl|etc/meterctl)/", f"{run.place}/", line
    )


# Kubernetes


@pytest.mark.parametrize(
    "manifest", MANIFESTS, ids=lambda manifest: f"{manifest['kind']} {manifest['metadata']['name']}"
)
@pytest.mark.parametrize("version", ["1.27", "1.37"])
def test_a_manifest_fits_the_schema_of_the_api(manifest: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(manifest, version, strict=True)


def test_the_validator_sees_a_mistake() -> None:
    broken = json.loads(json.dumps(JOBS[0]))
    broken["spec"]["concurrencyPolcy"] = "Forbid"
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, "1.37", strict=True)


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job["metadata"]["name"])
def test_a_job_runs_alone_without_rights_and_within_bounds(job: dict[str, Any], prod: Shell) -> None:
    assert job["spec"]["concurrencyPolicy"] == "Forbid"
    pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert job["spec"]["jobTemplate"]["spec"]["activeDeadlineSeconds"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert {"requests", "limits"} <= set(container["resources"])
    names = {volume["name"] for volume in pod["volumes"]}
    assert {mount["name"] for mount in container["volumeMounts"]} == names
    assert prod(*container["args"]).code == 0


def test_the_config_in_the_manifest_is_one() -> None:
    from meterctl.config.file import read_settings

    (config,) = (manifest for manifest in MANIFESTS if manifest["kind"] == "ConfigMap")
    settings = read_settings(Path("meterctl.toml"), config["data"]["meterctl.toml"])
    mounted = {mount["mountPath"] for job in JOBS for mount in _mounts(job)}
    assert str(Path(settings.profiles["prod"].store_file or "").parent) in mounted


def _mounts(job: dict[str, Any]) -> list[dict[str, Any]]:
    (container,) = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    mounts: list[dict[str, Any]] = container["volumeMounts"]
    return mounts


# systemd, cron, logrotate


@pytest.mark.parametrize("unit", UNITS)
def test_systemd_takes_a_unit(unit: str, tmp_path: Path) -> None:
    program = needed("systemd-analyze")
    for name in UNITS:
        text = (DEPLOY / "systemd" / name).read_text(encoding="utf-8")
        (tmp_path / name).write_text(text.replace("/opt/meterctl/bin/meterctl", "/bin/true"))
    done = subprocess.run(
        [program, "verify", str(tmp_path / unit)], capture_output=True, text=True, timeout=60, check=False
    )
    assert [line for line in done.stderr.splitlines() if str(tmp_path) in line] == []
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("timer", [unit for unit in UNITS if unit.endswith(".timer")])
def test_a_timer_names_a_time(timer: str) -> None:
    program = needed("systemd-analyze")
    text = (DEPLOY / "systemd" / timer).read_text(encoding="utf-8")
    (when,) = re.findall(r"^OnCalendar=(.*)$", text, re.MULTILINE)
    done = subprocess.run([program, "calendar", when], capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def scheduled() -> list[str]:
    """Every command that systemd and cron run."""
    services = [(DEPLOY / "systemd" / unit).read_text("utf-8") for unit in UNITS if unit.endswith(".service")]
    lines = [line for text in services for line in re.findall(r"^ExecStart=(.*)$", text, re.MULTILINE)]
    cron = (DEPLOY / "cron" / "meterctl").read_text(encoding="utf-8")
    lines += [line.partition(" >> ")[0] for line in re.findall(r"^[\d*].*?meterctl +(/opt.*)$", cron, re.MULTILINE)]
    return [line.removeprefix("/opt/meterctl/bin/meterctl ") for line in lines]


def test_what_is_scheduled_works(prod: Shell) -> None:
    assert len(scheduled()) == 4
    for line in scheduled():
        assert prod(here(prod, line)).code == 0, line


def test_the_logs_that_cron_writes_are_rotated() -> None:
    cron = (DEPLOY / "cron" / "meterctl").read_text(encoding="utf-8")
    rotated = (DEPLOY / "logrotate" / "meterctl").read_text(encoding="utf-8")
    folders = {str(Path(path).parent) for path in re.findall(r"2?>> (\S+)", cron)}
    assert folders == {"/var/log/meterctl"}
    assert all(f"{folder}/*" in rotated for folder in folders)


def test_cron_takes_each_line() -> None:
    lines = (DEPLOY / "cron" / "meterctl").read_text(encoding="utf-8").splitlines()
    jobs = [line for line in lines if not re.match(r"#|\w+=", line)]
    assert len(jobs) == 2
    for job in jobs:
        *fields, user, command = job.split(maxsplit=6)
        next(CronSim(" ".join(fields), datetime(2026, 11, 30)))  # noqa: DTZ001 - the machine's zone, as cron has it
        assert (user, command.startswith("/opt/meterctl/bin/meterctl "), "%" in command) == ("meterctl", True, False)


def test_logrotate_takes_the_file(tmp_path: Path) -> None:
    program = needed("logrotate")
    text = (DEPLOY / "logrotate" / "meterctl").read_text(encoding="utf-8")
    me, group = Path(tmp_path).owner(), Path(tmp_path).group()
    config = tmp_path / "config"
    config.write_text(
        text.replace("/var/log/meterctl", str(tmp_path / "logs")).replace("meterctl meterctl", f"{me} {group}")
    )
    config.chmod(0o600)
    (tmp_path / "logs").mkdir(mode=0o755)
    (tmp_path / "logs" / "sweep.log").write_text("a line\n")
    command = [program, "--force", "--verbose", "--state", str(tmp_path / "state"), str(config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, "error" in done.stderr) == (0, False), done.stderr
    (kept,) = (tmp_path / "logs").glob("sweep.log-*")
    assert kept.read_text() == "a line\n"


# Prometheus and Grafana

RULES = DEPLOY / "prometheus-rules.yml"
BOARD = json.loads((DEPLOY / "grafana" / "meterctl.json").read_text(encoding="utf-8"))
EXPRESSIONS = [target["expr"] for panel in BOARD["panels"] for target in panel["targets"]]

#: Figures of a week, one each hour, that alarm nobody.
HEALTHY = {
    "meterctl_sweep_last_success_timestamp_seconds": "0+3600x168",
    "meterctl_sweep_success": "1x168",
    "meterctl_sweep_journal_found": "1x168",
    "meterctl_verify_findings": "0x168",
    "meterctl_verify_last_run_timestamp_seconds": "0+3600x168",
    "meterctl_due_lag_seconds": "0x168",
    "meterctl_negative_orgs": "3x168",
    "meterctl_owed_units": "1000x168",
    "meterctl_reconcile_success": "1x168",
    "meterctl_events_failed": "0x168",
    "meterctl_events_conflict": "0x168",
    "meterctl_events_invalid": "0x168",
    "meterctl_doctor_success": "1x168",
}
#: For each alarm, the figures that raise it. None: there are none.
SICK: dict[str, dict[str, str | None]] = {
    "MeterctlSweepOverdue": {"meterctl_sweep_last_success_timestamp_seconds": "0x168"},
    "MeterctlSweepUnknown": {"meterctl_sweep_last_success_timestamp_seconds": None},
    "MeterctlSweepFailed": {"meterctl_sweep_success": "0x168"},
    "MeterctlSweepWithoutJournal": {"meterctl_sweep_journal_found": "0x168"},
    "MeterctlJournalBroken": {"meterctl_verify_findings": "2x168"},
    "MeterctlVerifyOverdue": {"meterctl_verify_last_run_timestamp_seconds": "-200000x168"},
    "MeterctlVerifyUnknown": {"meterctl_verify_last_run_timestamp_seconds": None},
    "MeterctlDueLag": {"meterctl_due_lag_seconds": "200000x168"},
    "MeterctlNegativeOrgs": {"meterctl_negative_orgs": "51x168"},
    "MeterctlOwedGrows": {"meterctl_owed_units": "0+10000x168"},
    "MeterctlPaymentsDiffer": {"meterctl_reconcile_success": "0x168"},
    "MeterctlEventsFailed": {"meterctl_events_conflict": "1x168"},
    "MeterctlStoreUnsound": {"meterctl_doctor_success": "0x168"},
}


def test_every_alarm_fires_on_its_figures_and_on_no_others(tmp_path: Path) -> None:
    (group,) = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    assert {rule["alert"] for rule in group["rules"]} == set(SICK)
    cases: dict[str, dict[str, str | None]] = {"": {}, **SICK}
    tests = [
        {
            "name": f"figures of {alert or 'a healthy week'}",
            "interval": "1h",
            "input_series": [
                {"series": f'{name}{{store="s"}}', "values": values}
                for name, values in {**HEALTHY, **figures}.items()
                if values is not None
            ],
            "promql_expr_test": [
                {
                    "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                    "eval_time": "7d",
                    "exp_samples": [{"labels": f'{{alertname="{alert}"}}', "value": 1}] if alert else [],
                }
            ],
        }
        for alert, figures in cases.items()
    ]
    file = tmp_path / "tests.yml"
    file.write_text(yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "1h", "tests": tests}))
    done = subprocess.run(
        [needed("promtool"), "test", "rules", str(file)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_grafana_knows_every_field_of_the_dashboard() -> None:
    """A field that its own types do not have would get lost on the way through them."""
    register_default_plugins()

    def through(board: dict[str, Any]) -> Any:
        return json.loads(json.dumps(Dashboard.from_json(board), cls=JSONEncoder))

    def lost(given: Any, back: Any) -> bool:
        if isinstance(given, dict):
            return any(key not in back or lost(value, back[key]) for key, value in given.items())
        if isinstance(given, list):
            return len(given) != len(back) or any(map(lost, given, back))
        return bool(given != back)

    assert not lost(BOARD, through(BOARD))
    misspelt = {**BOARD, "panels": [{**BOARD["panels"][0], "gridPosition": {}}]}
    assert lost(misspelt, through(misspelt))


def test_prometheus_can_answer_the_dashboard(tmp_path: Path) -> None:
    rules = [{"record": f"panel:{number}", "expr": expression} for number, expression in enumerate(EXPRESSIONS)]
    file = tmp_path / "expressions.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    done = subprocess.run(
        [needed("promtool"), "check", "rules", str(file)], capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_dashboard_shows_figures_that_the_scheduled_jobs_write(prod: Shell) -> None:
    written: set[str] = set()
    for line in scheduled():
        assert prod(here(prod, line)).code == 0
    for file in prod.place.glob("*.prom"):
        written |= set(re.findall(r"^(meterctl_\w+)", file.read_text(), re.MULTILINE))
    shown = {name for expression in EXPRESSIONS for name in re.findall(r"meterctl_\w+", expression)}
    assert shown <= written
    assert len({panel["id"] for panel in BOARD["panels"]}) == len(BOARD["panels"])


# The image


def test_the_image_runs_without_root_and_holds_compiled_code() -> None:
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    last = text.rpartition("FROM ")[2]
    assert re.search(r"^USER 10001:10001$", last, re.MULTILINE)
    assert "compileall" in text
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", text, re.MULTILINE)
    assert all((ROOT / name).exists() for line in copied for name in line.split())


@pytest.mark.long
def test_the_steps_that_build_the_image_work_elsewhere(tmp_path: Path) -> None:
    """Its own commands, with its directories in the test's: no daemon is needed for that."""
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8").split("\nFROM ")[1].replace("\\\n", " ")
    source = tmp_path / "src"
    source.mkdir()
    for names, target in re.findall(r"^COPY (.*) (\S+)$", text, re.MULTILINE):
        for name in names.split():
            place = source / target
            _ = shutil.copytree(ROOT / name, place) if (ROOT / name).is_dir() else shutil.copy(ROOT / name, source)
    steps = re.findall(r"^RUN (.*)$", text, re.MULTILINE)
    assert len(steps) == 4
    for step in steps:
        words = [word.replace("/opt/meterctl", str(tmp_path / "opt")) for word in shlex.split(step)]
        subprocess.run(words, cwd=source, check=True, timeout=600, capture_output=True)
    done = subprocess.run([str(tmp_path / "opt" / "bin" / "meterctl"), "demo"], timeout=120, check=False, cwd=tmp_path)
    assert done.returncode == 0
    assert list((tmp_path / "opt").rglob("meterctl/__pycache__/cli.*.pyc"))


# The runbook


def runbook_lines() -> list[str]:
    text = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^ *```sh\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)
    return [line.strip() for block in blocks for line in block.splitlines()]


def runbook() -> list[str]:
    """Return the commands of meterctl in the runbook."""
    return [line for line in runbook_lines() if line.startswith("meterctl ")]


#: Lines of the runbook that change the machine. `make package` installs the wheel; a new user takes root.
ELSEWHERE = ("python3 -m venv", "useradd", "systemctl", "export METERCTL_CONFIG")


def test_the_machine_is_prepared_as_the_runbook_has_it(tmp_path: Path) -> None:
    """Its lines for root, with their directories in the test's own."""
    lines = [line for line in runbook_lines() if not line.startswith(("meterctl ", *ELSEWHERE))]
    documents = tmp_path / "opt" / "meterctl" / "share" / "doc" / "meterctl"
    shutil.copytree(DEPLOY, documents / "deploy")
    for folder in ("systemd/system", "cron.d", "logrotate.d"):
        (tmp_path / "etc" / folder).mkdir(parents=True)
    script = "\n".join(lines).replace("-o meterctl", f"-o {tmp_path.owner()}")
    script = re.sub(r"(?<= )/(?=(?:opt|etc|var)/)", f"{tmp_path}/", script)
    subprocess.run(["bash", "-eux", "-c", script], check=True, timeout=60)
    units = {path.name for path in (tmp_path / "etc" / "systemd" / "system").iterdir()}
    assert units == set(UNITS)
    mode = {name: (tmp_path / name).stat().st_mode & 0o777 for name in ("etc/meterctl/store", "var/backups/meterctl")}
    assert mode == {"etc/meterctl/store": 0o600, "var/backups/meterctl": 0o700}


def test_every_place_that_a_job_writes_to_is_prepared() -> None:
    prepared = [word for line in runbook_lines() if line.startswith("install ") for word in line.split()[5:]]
    services = [(DEPLOY / "systemd" / unit).read_text("utf-8") for unit in UNITS if unit.endswith(".service")]
    cron = (DEPLOY / "cron" / "meterctl").read_text(encoding="utf-8")
    metrics = {path for text in [*services, cron] for path in re.findall(r"--metrics-file (\S+)", text)}
    logs = {str(Path(path).parent) for path in re.findall(r">> (\S+)", cron)}
    assert len(metrics) == 2
    assert metrics | logs <= set(prepared)
    for text in services:
        writable = re.findall(r"-(/\S+)", text.partition("ReadWritePaths=")[2].splitlines()[0])
        assert {str(Path(path).parent) for path in metrics} <= set(writable)


def test_every_command_of_the_runbook_works(prod: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = runbook()
    assert len(lines) > 12
    for line in lines:
        command, _, target = here(prod, line).partition(" > ")
        answer = prod(command.removeprefix("meterctl "))
        assert answer.code in FIND.get(command.split()[1], (0,)), (line, answer)
        if target:
            Path(target).write_text(answer.out, encoding="utf-8")
    restored = prod("--store sqlite:restored.db export --all --plans").out
    assert restored == prod("--profile prod export --all --plans").out


def test_every_file_that_the_runbook_names_is_there() -> None:
    text = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)", text):
        assert (ROOT / "docs" / target).exists(), target
