"""``meterctl demo``"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from meterctl.commands.command import command, new_app
from meterctl.core.errors import DONE, MeterctlError
from meterctl.wiring import Wiring

app = new_app()

CONFIG = """\
default_plan = "free"
[packs.small]
units = 1000
price_cents = 500
currency = "usd"
expiry_days = 21
[plans.free]
weekly_quota = 100
[plans.pro]
weekly_quota = 500
rollover_max = 50
ratios = { default = "1", llm = "1.25" }
"""


STEP_SECONDS = 60

#: An act with this option prints nothing; the next one shows its result.
QUIET = "--quiet"

#: The story, two lines per act: time and text, then the command.
_STORY = """\
2026-11-02T09:00Z The config names packs and plans; publishing puts a plan in force.
    plan publish --from-config --quiet
2026-11-02T09:05Z acme goes on the plan pro: 500 units a week.
    plan assign acme pro --ref signup-1 --quiet
2026-11-02T09:10Z It buys a pack of 1,000 units, which expire after 21 days.
    credit-pack acme small --session cs_1001 --name pi_1001
2026-11-02T09:12Z The payment comes again under another name. It books nothing.
    credit-pack acme small --session pi_1001 --quiet
2026-11-02T09:15Z A promotion, to be used up before anything paid for.
    adjust acme 200 --ref promo-1 --reason welcome --priority 10 --quiet
2026-11-03T09:00Z Units are put on hold for a run that is about to start.
    meter hold acme 400 --ref run-1 --quiet
2026-11-03T09:40Z The run costs $0.336, at 1,250 units a dollar. Its hold ends; 80 % of the quota is reached.
    meter attribute acme run-1 --cost llm=0.336 --hold run-1
2026-11-05T16:00Z A run goes beyond the quota: the overflow is drawn from the promotion, then from the pack.
    meter attribute acme run-2 --cost llm=0.2 --cost search=0.05
2026-11-05T16:30Z It was metered by mistake: the undo gives its units back, lot by lot.
    undo acme --run run-2 --reason mistake --yes --quiet
2026-11-05T16:31Z The thresholds crossed on the way, once each.
    meter alerts acme
2026-11-06T08:00Z Half the price of the pack is refunded: half its units are clawed back.
    refund acme --session pi_1001 --cents 250 --refund-id re_1 --quiet
2026-11-06T09:00Z The rest of the pack may be used until the end of the year; the promotion is over.
    lot extend acme 2 --expires 2026-12-31 --ref t-1 --reason asked --quiet
2026-11-06T09:01Z
    lot void acme 3 --ref t-2 --reason over --yes --quiet
2026-11-06T09:02Z The lots, and their units one by one.
    lot list acme --all
2026-11-06T10:00Z From next Monday on, the plan is free: 100 units a week.
    plan assign acme free --ref downgrade-1 --from next-week --quiet
2026-11-09T00:05Z Cron runs the sweep: the week is closed, unused quota is rolled over, the new plan takes effect.
    expire --all --quiet
2026-11-09T00:06Z The balance, the week, and the reasons for them.
    explain acme
2026-11-09T00:07Z Every unit that moved, and the balance after it.
    ledger acme
2026-11-09T00:08Z Check that the journal adds up.
    verify acme
"""


@command(app)
def demo(wiring: Wiring) -> None:
    """Run the whole story on a throw-away store. Books nothing in yours.

    Plan, pack, hold, usage, overflow, undo, thresholds, refund, lots, week close.

    \b
    Example:
      meterctl demo
    """
    with TemporaryDirectory(prefix="meterctl-demo-") as place:
        config = Path(place, "meterctl.toml")
        config.write_text(CONFIG, encoding="utf-8")
        # The caller's settings are removed: the demo config has no such profile, for example.
        environment = {name: value for name, value in wiring.environ.items() if not name.startswith("METERCTL_")}
        environment["METERCTL_ACTOR"] = "demo"
        shared = ["--store", f"sqlite:{place}/demo.db", "--config", str(config), "-o", wiring.output]
        for act in acts():
            _play(act, shared, wiring.output, environment)


class Act(NamedTuple):
    """A part of the story: time, text, and command line."""

    now: str
    text: str
    line: str


def acts() -> Iterator[Act]:
    lines = _STORY.splitlines()
    for heading, line in zip(lines[::2], lines[1::2], strict=True):
        now, _, text = heading.partition(" ")
        yield Act(now, text, line.strip())


def _play(act: Act, shared: list[str], output: str, environment: dict[str, str]) -> None:
    is_table = output in ("table", "markdown", "plain")
    # In formats for scripts, standard output holds only documents, one for each act.
    talk = sys.stdout if is_table else sys.stderr
    talk.write((f"\n# {act.now}  {act.text}\n" if act.text else "") + f"$ meterctl {act.line}\n")
    talk.flush()
    words = act.line.split()
    is_quiet = is_table and QUIET in words
    # A new process, as the reader would start it; without a terminal, so that it asks nothing.
    process = subprocess.run(  # noqa: S603 - our own program, our own words
        [sys.executable, "-m", "meterctl", *shared, "--now", act.now, *(words if is_quiet else _loud(words))],
        stdin=subprocess.DEVNULL,
        # Each quiet act would say that its clock is pinned, as its heading does.
        stderr=subprocess.PIPE if is_quiet else None,
        env=environment,
        timeout=STEP_SECONDS,
        check=False,
        text=True,
    )
    if process.returncode != DONE:
        sys.stderr.write(process.stderr or "")
        raise MeterctlError(f"the step {act.line!r} ended with exit code {process.returncode}", code="demo_failed")


def _loud(words: list[str]) -> list[str]:
    return [word for word in words if word != QUIET]
