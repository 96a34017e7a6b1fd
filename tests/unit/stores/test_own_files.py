"""The embedded store's files, as its URL names them."""

from contextlib import closing
from pathlib import Path

import pytest

from meterctl.core.stores.own_files import files_of
from meterctl.core.stores.url import open_store, same_place, sqlite_path


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:~/credits.db", "{home}/credits.db"),
        ("sqlite:./~/credits.db", "./~/credits.db"),
        ("sqlite:a~/credits.db", "a~/credits.db"),
        ("sqlite:/var/lib/credits.db", "/var/lib/credits.db"),
    ],
)
def test_a_leading_tilde_is_the_home_directory(monkeypatch: pytest.MonkeyPatch, url: str, path: str) -> None:
    monkeypatch.setenv("HOME", "/users/kim")
    assert sqlite_path(url) == path.format(home="/users/kim")


def test_a_store_at_home_is_opened_and_protected_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(elsewhere)
    with closing(open_store("sqlite:~/credits.db")) as store:
        store.init()
    assert (home / "credits.db").is_file()
    assert list(elsewhere.iterdir()) == []
    assert f"{home}/credits.db-wal" in files_of("sqlite:~/credits.db")
    assert same_place("sqlite:~/credits.db", f"sqlite:{home}/credits.db")
