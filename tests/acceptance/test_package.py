"""The wheel: everything that an operator needs is in it, and reads there as it does here."""

import re
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

from meterctl import __version__
from meterctl.commands.catalogue import commands
from tests.links import PAGES, ROOT, broken_links


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's files, unpacked."""
    place = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(place)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (wheel,) = place.glob("*.whl")
    assert wheel.name == f"meterctl-{__version__}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(place)
    return place


@pytest.fixture(scope="module")
def share(installed: Path) -> Path:
    return installed / f"meterctl-{__version__}.data" / "data" / "share"


def files_below(folder: Path) -> set[str]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return {path.relative_to(folder).as_posix() for path in files}


def test_the_wheel_holds_every_page_example_and_file_for_production(share: Path) -> None:
    documents = share / "doc" / "meterctl"
    for folder in ("examples", "deploy"):
        assert files_below(documents / folder) == files_below(ROOT / folder)
    programs = {"rooms.py", "man/make.py", "pictures/make.py"}
    assert files_below(documents / "docs") == files_below(ROOT / "docs") - programs
    for name in files_below(documents):
        assert (documents / name).read_bytes() == (ROOT / name).read_bytes(), name


def test_the_wheel_holds_the_man_page_of_every_command(share: Path) -> None:
    names = {"meterctl"} | {f"meterctl-{each['name'].replace(' ', '-')}" for each in commands()}
    pages = {page.stem: page.read_text("ascii") for page in (share / "man" / "man1").iterdir()}
    assert set(pages) == names
    assert all(page.startswith(".TH ") and f"meterctl {__version__}" in page for page in pages.values())


def test_the_wheel_imports_nothing_from_its_documents(installed: Path) -> None:
    modules = {path.parts[0] for path in (name.relative_to(installed) for name in installed.rglob("*.py"))}
    assert modules == {"meterctl", f"meterctl-{__version__}.data"}


def test_the_metadata_names_license_and_pythons(installed: Path) -> None:
    metadata = Parser().parsestr((installed / f"meterctl-{__version__}.dist-info" / "METADATA").read_text("utf-8"))
    assert (metadata["Version"], metadata["License-Expression"]) == (__version__, "Apache-2.0")
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata.get_payload() == (ROOT / "README.md").read_text("utf-8")


def test_links_between_pages_lead_somewhere(share: Path) -> None:
    assert list(broken_links(ROOT, PAGES)) == []
    documents = share / "doc" / "meterctl"
    assert list(broken_links(documents, sorted(documents.rglob("*.md")))) == []


def test_a_link_that_leads_nowhere_is_named(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    (tmp_path / "other.md").write_text("# One heading\n")
    links = [
        "other.md#one-heading",
        "#here-too",
        "absent.md",
        "other.md#two",
        "../page.md",
        "#gone",
        "https://a.example",
    ]
    page.write_text("## Here, too\n" + "".join(f"[a]({link})\n" for link in links))
    expected = ["absent.md", "other.md#two", "../page.md", "#gone"]
    assert list(broken_links(tmp_path, [page])) == [f"page.md: {link}" for link in expected]


def test_the_changelog_begins_with_this_version() -> None:
    titles = re.findall(r"^## \[(.*?)\]", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert titles[0] == __version__
