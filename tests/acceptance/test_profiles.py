"""Profiles: places to work on by name, of which those in production have to be named."""

import pytest

from meterctl.core.errors import NOT_FOUND, USAGE
from tests.acceptance.shell import CONFIG, Shell
from tests.acceptance.terminal import at_terminal

PROFILES = """\
[profiles.prod]
store = "sqlite:{place}/prod.db"
production = true
actor = "on-call"
[profiles.lab]
store = "sqlite:{place}/lab.db"
[profiles.far]
store = "mongodb://joe:secret@db.example/credits"
"""

WRITE = "adjust acme 5 --ref a1 --reason why"


@pytest.fixture
def profiled(run: Shell, monkeypatch: pytest.MonkeyPatch) -> Shell:
    run.config(CONFIG + PROFILES.format(place=run.place))
    monkeypatch.delenv("METERCTL_STORE")
    monkeypatch.delenv("METERCTL_ACTOR")
    monkeypatch.delenv("METERCTL_PROFILE", raising=False)
    return run


def test_a_profile_brings_its_store_and_its_actor(profiled: Shell) -> None:
    entry = profiled.doc(f"{WRITE} --profile prod")["entry"]
    assert entry["actor"] == "on-call"
    assert (profiled.place / "prod.db").exists()
    assert profiled.doc("--profile prod balance acme")["balance"] == 5
    assert profiled.doc("balance acme --profile lab")["balance"] == 0
    assert profiled.doc(f"{WRITE} --profile prod --actor me")["entry"]["actor"] == "on-call"  # a replay
    assert profiled.doc("adjust acme 5 --ref a2 --reason why --profile prod --actor me")["entry"]["actor"] == "me"


def test_what_is_said_comes_before_the_environment(profiled: Shell) -> None:
    def store(line: str) -> str:
        shown: str = profiled.doc(f"config show {line}")["store"]
        return shown.rpartition("/")[2]

    profiled.setenv("METERCTL_PROFILE", "lab")
    assert store("") == "lab.db"
    profiled.setenv("METERCTL_STORE", "sqlite:env.db")
    assert store("") == "sqlite:env.db"
    assert store("--profile prod") == "prod.db"
    assert store("--profile prod --store sqlite:said.db") == "sqlite:said.db"


@pytest.mark.parametrize("name", ["PROFILE", "STORE"])
def test_production_has_to_be_named_on_the_command_line(profiled: Shell, name: str) -> None:
    url = f"sqlite:{profiled.place}/prod.db"
    profiled.setenv(f"METERCTL_{name}", {"PROFILE": "prod", "STORE": url}[name])
    for line in (WRITE, "expire --all", "plan publish pro --quota 5", "init", "verify --all --repair-heads"):
        answer = profiled.json(line)
        assert (answer.code, answer.error["code"]) == (USAGE, "production_not_named"), line
        assert "--profile prod" in answer.error["hint"]
    assert profiled.doc(f"{WRITE} --dry-run")["status"] == "planned"
    assert profiled.doc("balance acme")["balance"] == 0
    assert profiled.doc(f"{WRITE} --store {url}")["applied"]
    assert profiled.doc(f"{WRITE} --profile prod")["status"] == "replayed"


@pytest.mark.parametrize("way", ["./prod.db", "up/../prod.db", "link.db"])
def test_a_production_store_is_known_however_it_is_written(profiled: Shell, way: str) -> None:
    (profiled.place / "up").mkdir()
    (profiled.place / "link.db").symlink_to("prod.db")
    for url in (f"sqlite:{way}", f"sqlite:{profiled.place}/{way}"):
        profiled.setenv("METERCTL_STORE", url)
        assert profiled.json(WRITE).error["code"] == "production_not_named"
    assert not (profiled.place / "prod.db").exists()


@pytest.mark.parametrize(
    "url", ["mongodb://joe:other@DB.example:27017/credits?tls=true", "mongodb://a,db.example/credits"]
)
def test_so_is_one_on_a_server(profiled: Shell, url: str) -> None:
    profiled.config(CONFIG + PROFILES.format(place=profiled.place) + "production = true\n")
    profiled.setenv("METERCTL_STORE", url)
    answer = profiled.json(WRITE)
    assert (answer.code, answer.error["code"]) == (USAGE, "production_not_named")
    assert "--profile far" in answer.error["hint"]


def test_a_production_profile_without_a_store_of_its_own_has_to_be_named(profiled: Shell) -> None:
    profiled.config("[profiles.prod]\nproduction = true\n")
    profiled.setenv("METERCTL_STORE", "sqlite:env.db")
    assert profiled.doc(WRITE)["applied"]
    profiled.setenv("METERCTL_PROFILE", "prod")
    answer = profiled.json(WRITE)
    assert (answer.code, answer.error["code"]) == (USAGE, "production_not_named")
    assert "sqlite:env.db" in answer.error["message"]
    assert profiled.doc(f"{WRITE} --profile prod")["status"] == "replayed"


def test_a_person_sees_where_a_write_goes(profiled: Shell) -> None:
    profiled.all("adjust acme 1 --ref first --reason why --profile prod")
    answer, screen = at_terminal(profiled, [*WRITE.split(), "--profile", "prod"], asked="[y/N]", answer="y\n")
    assert answer.code == 0
    assert "profile prod (production), sqlite:" in screen
    assert profiled(f"{WRITE} --profile prod").err == ""


def test_a_profile_that_is_not_there(profiled: Shell) -> None:
    answer = profiled.json("balance acme --profile prd")
    assert (answer.code, answer.error["code"]) == (USAGE, "unknown_profile")
    assert "did you mean 'prod'?" in answer.error["message"]
    assert "lab" in answer.error["hint"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('store = "ftp://x"', "profiles.p.store"),
        ("production = 1", "profiles.p.production"),
        ("producton = true", "did you mean production"),
    ],
)
def test_a_bad_profile_is_named(profiled: Shell, line: str, said: str) -> None:
    profiled.config(f"[profiles.p]\n{line}\n")
    answer = profiled("balance acme")
    assert answer.code == USAGE
    assert said in answer.err


def test_no_password_of_a_profile_is_shown_or_kept_elsewhere(profiled: Shell) -> None:
    profiled.setenv("HOME", str(profiled.place / "home"))
    for output in ("table", "json", "plain"):
        answer = profiled(f"config show --profile far -o {output}")
        assert "db.example" in answer.out
        assert "secret" not in answer.out + answer.err
    profiled.all(f"{WRITE} --profile lab")
    holders = [path.name for path in profiled.place.rglob("*") if path.is_file() and b"secret" in path.read_bytes()]
    assert holders == ["meterctl.toml"]


def with_store_file(run: Shell, content: str, *, mode: int = 0o600) -> None:
    run.config("[profiles.filed]\nproduction = true\nstore_file = 'keys/store'\n")
    path = run.place / "keys" / "store"
    path.parent.mkdir(exist_ok=True)
    path.write_text(content)
    path.chmod(mode)


def test_a_profile_takes_its_store_from_a_file_beside_the_config(
    profiled: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:{profiled.place}/my store.db"
    with_store_file(profiled, f"{url}\n")
    (profiled.place / "elsewhere").mkdir()
    monkeypatch.chdir(profiled.place / "elsewhere")
    assert profiled.doc(f"{WRITE} --profile filed")["applied"]
    assert (profiled.place / "my store.db").exists()
    profiled.setenv("METERCTL_STORE", url)
    assert profiled.json(WRITE).error["code"] == "production_not_named"
    with_store_file(profiled, "mongodb://joe:secret@db.example/credits")
    for output in ("table", "json"):
        answer = profiled(f"config show --profile filed -o {output}")
        assert "keys/store" in answer.out
        assert "secret" not in answer.out + answer.err


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_file_that_others_may_read_gives_no_store(profiled: Shell, mode: int) -> None:
    with_store_file(profiled, f"sqlite:{profiled.place}/filed.db", mode=mode)
    if (profiled.place / "keys" / "store").stat().st_uid == 0 and mode == 0o640:
        assert profiled.doc(f"{WRITE} --profile filed")["applied"]  # as a container's secret, mounted for its group
        return
    error = profiled.json(f"{WRITE} --profile filed").error
    assert error["code"] == "bad_store_file"
    assert f"{mode:o}" in error["message"]
    assert "chmod 600" in error["hint"]


@pytest.mark.parametrize("content", ["", "\n", "sqlite:a.db\nsqlite:b.db\n", "x" * 20_000])
def test_a_file_that_does_not_hold_one_url(profiled: Shell, content: str) -> None:
    with_store_file(profiled, content)
    assert profiled.json("balance acme --profile filed").error["code"] == "bad_store_file"


def test_a_store_file_that_is_not_there_stops_only_who_needs_it(profiled: Shell) -> None:
    profiled.config("[profiles.filed]\nproduction = true\nstore_file = 'none'\n")
    assert profiled.json("balance acme --profile filed").error["code"] == "store_file_unreadable"
    profiled.setenv("METERCTL_STORE", f"sqlite:{profiled.place}/lab.db")
    assert profiled.doc(WRITE)["applied"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("credit-pack acme smal --session s1", "did you mean 'small'?"),
        ("plan assign acme pr --ref p1", "did you mean 'pro'?"),
        ("plan show pr", "did you mean 'pro'?"),
        ("plan publish pr --from-config", "did you mean 'pro'?"),
    ],
)
def test_a_name_that_is_nearly_one(run: Shell, line: str, said: str) -> None:
    run.all("plan publish --from-config")
    answer = run(line)
    assert answer.code == NOT_FOUND
    assert said in answer.out + answer.err


def test_a_kind_that_is_nearly_one(run: Shell) -> None:
    assert "did you mean 'topup'?" in run("ledger acme --kind topups").err
