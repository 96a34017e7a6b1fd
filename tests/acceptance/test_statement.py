"""``statement`` and ``report``: what a customer, an accountant and their tools get."""

import csv
import io
import json
import re
import subprocess
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from meterctl.core.errors import FINDINGS, USAGE
from tests.acceptance.shell import Shell
from tests.programs import needed

LATER = "2026-12-02T10:00:00Z"

STORY = [
    ("2026-10-20T09:00Z", "credit-pack acme small --session s1"),
    ("2026-11-02T09:00Z", "credit-pack acme small --session s2"),
    (
        "2026-11-03T09:00Z",
        "adjust acme 300 --ref g1 --reason '<script>alert(1)</script> & \"gift\"' --expires 2026-11-10",
    ),
    ("2026-11-04T09:00Z", "meter attribute acme run1 --cost llm=0.4 --cost search=0.05"),
    ("2026-11-05T09:00Z", "debit acme 100 --ref d1"),
    ("2026-11-06T09:00Z", "undo acme 5 --reason slip --yes"),
    ("2026-11-07T09:00Z", "refund acme --session s2 --cents 250 --refund-id re1"),
    ("2026-11-09T09:00Z", "credit-pack bolt gift --session s3"),
    ("2026-11-10T09:00Z", "debit bolt 80 --ref d1 --allow-debt --yes"),
]


@pytest.fixture
def story(run: Shell) -> Shell:
    for now, line in STORY:
        run.all(line, now=now)
    return run


def test_a_statement_adds_up_in_units_and_money(story: Shell) -> None:
    document = story.doc("statement acme --month 2026-11", now=LATER)
    moved = {(each["movement"], each["label"]): each["units"] for each in document["movements"]}
    assert (document["opening"], document["closing"]) == (1000, 0)
    assert moved[("bought", "small")] == 1000
    assert moved[("granted", '<script>alert(1)</script> & "gift"')] == 300
    assert moved[("used", None)] == -450
    assert moved[("debited", None)] == -100
    assert moved[("undone", "debit")] == 100
    assert moved[("refunded", None)] == -500
    assert document["opening"] + sum(moved.values()) == document["closing"]
    assert document["money"] == [
        {"currency": "usd", "paid": 500, "tax": 0, "refunded": 250, "refunds_reversed": 0, "undone": 0, "net": 250}
    ]
    assert document["features"] == {"llm": 400, "search": 50}
    assert [(week["key"], week["used"], week["quota"]) for week in document["weeks"]] == [("2026-W45", 450, 0)]
    assert document["pending"] == 4, "three lots and a week have ended, and no sweep ran"


def test_without_options_it_covers_the_last_month(story: Shell) -> None:
    document = story.doc("statement acme", now="2026-12-15T00:00Z")
    assert (document["since"], document["until"]) == ("2026-11-01T00:00:00.000Z", "2026-12-01T00:00:00.000Z")
    assert story.doc("report", now="2027-01-31T00:00Z")["since"] == "2026-12-01T00:00:00.000Z"


def test_a_refund_that_is_taken_back_is_the_packs_again_and_has_a_price_in_csv(story: Shell) -> None:
    line = "report --month 2026-11 --by pack"
    before = {group["group"]: group["movements"] for group in story.doc(line, now=LATER)["groups"]}
    story.all("refund acme --reverse re1", now="2026-11-12T09:00Z")
    after = {group["group"]: group for group in story.doc(line, now=LATER)["groups"]}
    assert before["small"]["refunded"] == -500
    assert sum(after["small"]["movements"].values()) == sum(before["small"].values())  # all of it has expired since
    assert after["small"]["movements"]["expired"] == before["small"]["expired"] - 500
    now = "2026-11-12T10:00Z"
    line = f"report --since 2026-11-01 --until {now} --by org -o csv"
    rows = list(csv.DictReader(io.StringIO(story(line, now=now).out)))
    worth = [(row["group"], row["currency"], row["cents"]) for row in rows if row["name"] == "paid_value"]
    total = sum(int(cents) for group, _, cents in worth if group)
    assert [(currency, int(cents)) for group, currency, cents in worth if not group] == [("usd", total)]


@pytest.mark.parametrize("by", ["pack", "org"])
def test_prices_that_a_report_forgot_are_read_again(story: Shell, monkeypatch: pytest.MonkeyPatch, by: str) -> None:
    """A report keeps the prices of a bounded number of lots: with none, every figure stays the same."""
    story.all("refund acme --reverse re1", now="2026-11-12T09:00Z")
    line = f"report --month 2026-11 --by {by} --expiring 30d"
    document = story.doc(line, now="2026-11-12T10:00Z")
    assert document["expiring"]["units"] > 0
    monkeypatch.setattr("meterctl.core.reads.report._KEPT_PRICES", -1)
    assert {**story.doc(line, now="2026-11-12T10:00Z"), "seconds": 0} == {**document, "seconds": 0}


@pytest.mark.parametrize("command", ["statement acme", "report"])
def test_a_window_may_begin_with_time_itself(story: Shell, command: str) -> None:
    document = story.doc(f"{command} --since 0001-01-01 --until 2026-12-01", now=LATER)
    assert (document["opening"], document["since"]) == (0, "0001-01-01T00:00:00.000Z")


def test_a_month_that_is_not_over_says_so(story: Shell) -> None:
    document = story.doc("statement acme --month 2026-11", now="2026-11-08T00:00Z")
    assert document["as_of"] == "2026-11-08T00:00:00.000Z"
    assert document["closing"] == 1350
    assert "the period is not over" in story("statement acme --month 2026-11", now="2026-11-08T00:00Z").out


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ("--month 2026-13", "bad_month"),
        ("--month 2026", "bad_month"),
        ("--month 2026-11 --since 2026-11-01", "usage"),
        ("--until 2026-11-01", "usage"),
        ("--since 2026-11-05 --until 2026-11-01", "usage"),
        ("--month 2027-03", "in_future"),
        ("-o pdf", "bad_output"),
    ],
)
def test_a_window_that_is_none_is_refused(story: Shell, options: str, code: str) -> None:
    for command in ("statement acme", "report"):
        answer = story(f"{command} {options}", now=LATER)
        assert (answer.code, answer.out) == (USAGE, "")
        assert f"[{code}]" in answer.err


def test_formats_of_statements_are_refused_elsewhere(story: Shell) -> None:
    for line in ("balance acme -o html", "report -o hledger", "ledger acme -o hledger", "orgs -o html"):
        assert story(line).code == USAGE


def test_an_unknown_org_has_an_empty_statement(run: Shell) -> None:
    document = run.doc("statement nobody --month 2026-10")
    assert (document["opening"], document["closing"], document["entries"], document["known"]) == (0, 0, 0, False)
    assert "no journal for nobody" in run("statement nobody --month 2026-10").out


def test_a_statement_that_does_not_add_up_fails(story: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    from meterctl.core.reads import movements

    monkeypatch.delitem(movements._SORTERS, "refund")
    for line in (
        "statement acme --month 2026-11",
        "report --month 2026-11",
        "statement acme --month 2026-11 -o hledger",
    ):
        answer = story(line, now=LATER)
        assert (answer.code, answer.out) == (FINDINGS, "")
        assert "its kind 'refund' is not known" in answer.err


def test_csv_is_flat_and_complete(story: Shell) -> None:
    rows = list(csv.DictReader(io.StringIO(story("statement acme --month 2026-11 -o csv", now=LATER).out)))
    figures = {(row["section"], row["name"], row["label"]): row for row in rows}
    assert figures["opening", "", ""]["units"] == "1000"
    assert figures["movement", "bought", "small"]["units"] == "1000"
    assert figures["money", "net", ""] | {"currency": "usd", "cents": "250"} == figures["money", "net", ""]
    assert {row["section"] for row in rows} == {
        "opening",
        "movement",
        "closing",
        "week",
        "feature",
        "money",
        "outstanding",
    }
    ndjson = [
        json.loads(line) for line in story("statement acme --month 2026-11 -o ndjson", now=LATER).out.splitlines()
    ]
    assert len(ndjson) == len(rows)
    grouped = list(csv.DictReader(io.StringIO(story("report --month 2026-11 --by org -o csv", now=LATER).out)))
    assert {row["group"] for row in grouped} == {"", "acme", "bolt"}


def test_a_report_is_of_all_orgs_with_what_is_outstanding(story: Shell) -> None:
    document = story.doc("report --month 2026-11 --by pack", now=LATER)
    assert (document["orgs"], document["opening"], document["closing"]) == (2, 1000, -30)
    assert document["outstanding"]["owed"] == 30
    before = story.doc("report --since 2026-10-01 --until 2026-11-05T12:00Z --by pack", now=LATER)["outstanding"]
    assert before["units"] == before["paid_units"] + 300 == 1750
    assert before["paid_value"] == [{"currency": "usd", "cents": 725, "tax_cents": 0}]


@pytest.mark.parametrize("by", ["kind", "plan", "pack", "org"])
@pytest.mark.parametrize("output", ["table", "markdown", "plain", "html"])
def test_every_grouping_is_shown_in_every_form(story: Shell, by: str, output: str) -> None:
    answer = story(f"report --month 2026-11 --by {by} -o {output}", now=LATER)
    assert answer.code == 0
    assert "closing balance" in answer.out


def test_an_unknown_grouping_is_refused(story: Shell) -> None:
    answer = story("report --by pck")
    assert (answer.code, answer.out) == (USAGE, "")
    assert "did you mean 'pack'" in answer.err


# -- hledger


def test_hledger_accepts_the_journal(story: Shell) -> None:
    hledger = needed("hledger")
    text = story("statement acme --month 2026-11 -o hledger", now=LATER).out
    journal = story.file("acme.journal", text)

    def ask(*words: str, given: str = journal) -> "subprocess.CompletedProcess[str]":
        command = [hledger, "-f", given, *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert ask("check", "--strict").returncode == 0, ask("check", "--strict").stderr
    assert "450 units  used" in ask("balance", "used").stdout
    wrong = story.file("wrong.journal", text.replace("-500 units =", "-501 units ="))
    assert ask("check", given=wrong).returncode != 0, "a changed amount is found"


# -- the page


class Page(HTMLParser):
    """Collects a page's elements, and holds every one to being closed."""

    VOID = ("meta", "link", "br", "hr", "img", "input")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


PAGES = ["statement acme --month 2026-11", "report --month 2026-11 --by org", "explain acme"]


@pytest.fixture(params=PAGES)
def page(request: pytest.FixtureRequest, story: Shell) -> str:
    answer = story(f"{request.param} -o html", now=LATER)
    assert answer.code == 0, answer.err
    return answer.out


def test_a_page_needs_nothing_else_and_runs_nothing(page: str) -> None:
    parsed = Page(page)
    assert not {"script", "link", "img", "iframe", "object", "form", "a"} & {tag for tag, _ in parsed.elements}
    for _, attributes in parsed.elements:
        assert not [
            name for name in attributes if name.startswith("on") or name in ("src", "href", "xlink:href", "style")
        ]
    assert "url(" not in page
    assert "@import" not in page
    assert parsed.all("meta")[2]["content"] == "default-src 'none'; style-src 'unsafe-inline'"


def test_a_page_escapes_what_customers_and_operators_wrote(story: Shell) -> None:
    text = story("statement acme --month 2026-11 -o html", now=LATER).out
    assert "<script>" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &#34;gift&#34;" in text


def test_a_page_can_be_read_without_eyes(page: str) -> None:
    parsed = Page(page)
    assert parsed.all("html")[0]["lang"] == "en"
    tags = [tag for tag, _ in parsed.elements]
    assert tags.count("h1") == tags.count("title") - tags.count("svg") == tags.count("main") == 1
    assert all(head["scope"] in ("row", "col") for head in parsed.all("th"))
    assert tags.count("table") == tags.count("tbody")
    for drawing in parsed.all("svg"):
        assert drawing["role"] == "img"


def test_the_drawings_are_well_formed_and_titled(page: str) -> None:
    for drawing in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
        root = ElementTree.fromstring(drawing)  # noqa: S314 - our own
        assert root[0].tag == "title"
        assert root[0].text


def test_the_statement_draws_the_curve_and_a_bar_for_each_week(story: Shell) -> None:
    text = story("statement acme --month 2026-11 -o html", now=LATER).out
    assert text.count('class="curve"') == 1
    assert text.count('class="bar"') >= 1
    assert "lowest 0, highest 2,300, last 0 units" in text


def colours(page: str) -> Iterator[dict[str, str]]:
    """The page's colours: light, dark, and on paper."""
    for block in re.findall(r":root \{(.*?)\}", page, re.DOTALL):
        yield dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", block))


def luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_every_colour_of_text_has_contrast(page: str) -> None:
    found = list(colours(page))
    assert len(found) == 3
    for palette in found:
        ground = luminance(palette["ground"])
        for name in ("text", "dim", "good", "warn", "bad", "accent"):
            lighter, darker = sorted((luminance(palette[name]), ground), reverse=True)
            assert (lighter + 0.05) / (darker + 0.05) >= 4.5, (name, palette)


def test_where_text_cannot_be_unicode_a_page_still_says_it(story: Shell) -> None:
    from meterctl.core.results import Facts
    from meterctl.render import write

    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    write(Facts("init", {"name": "✓ größer"}), "html", stream)
    assert b"&#10003; gr&#246;&#223;er" in raw.getvalue()


def test_a_browser_shows_the_page(story: Shell, tmp_path: Path) -> None:
    """A look through a real browser: the page is parsed as it was meant, and drawn in light and in dark."""
    chromium = needed("chromium", "chromium-browser", "google-chrome")
    text = story("statement acme --month 2026-11 -o html", now=LATER).out
    place = story.file("page.html", text)

    def browse(*options: str) -> bytes:
        command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"]
        command += ["--window-size=900,1400", f"--user-data-dir={tmp_path}/profile", *options, f"file://{place}"]
        return subprocess.run(command, capture_output=True, timeout=120, check=True).stdout

    dom = browse("--dump-dom").decode()
    shown, written = Page(dom), Page(text)
    for tag in ("table", "th", "td", "svg", "rect", "path", "h1", "h2"):
        assert len(shown.all(tag)) == len(written.all(tag)), tag
    pictures = []
    for scheme in ("1", "0"):
        browse(f"--blink-settings=preferredColorScheme={scheme}", f"--screenshot={tmp_path}/{scheme}.png")
        pictures.append((tmp_path / f"{scheme}.png").read_bytes())
    assert pictures[0] != pictures[1], "light and dark"
    assert all(picture.startswith(b"\x89PNG") and len(picture) > 20_000 for picture in pictures)


def test_only_a_page_loads_the_template_library(story: Shell, tmp_path: Path) -> None:
    from tests.acceptance.test_startup import loaded

    assert "jinja2" in loaded(tmp_path, "statement acme --month 2020-01 -o html")
    for output in ("table", "json", "csv", "markdown", "plain", "hledger"):
        assert "jinja2" not in loaded(tmp_path, f"statement acme --month 2020-01 -o {output}")
