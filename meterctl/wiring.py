"""The composition root: make settings, clock, store and ledger from options and environment, on first use."""

import os
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, closing
from functools import cached_property
from time import monotonic
from typing import TYPE_CHECKING

from meterctl.core.errors import BadInput, did_you_mean, name_source
from meterctl.core.stores.own_files import files_of
from meterctl.core.stores.prefix import with_prefix
from meterctl.core.stores.url import open_store, same_place, without_secret
from meterctl.options import FORMATS, Options

if TYPE_CHECKING:  # commands import lazily; help imports nothing
    from meterctl.config.settings import Profile, Settings
    from meterctl.core.backfill.booker import Backfiller
    from meterctl.core.backfill.saved_plans.plan_file import Header, PlanFile
    from meterctl.core.booking.checked_clock import CheckedClock, Confirm
    from meterctl.core.booking.ledger import Ledger
    from meterctl.core.booking.plan_publisher import NewVersion
    from meterctl.core.domain.guard import Guard
    from meterctl.core.domain.operations import Operation, Request
    from meterctl.core.model import Instant
    from meterctl.core.payments.stripe.reader import Reader
    from meterctl.core.payments.stripe.shop import Shop
    from meterctl.core.ports import Clock, Store
    from meterctl.core.reads.queries import Reads
    from meterctl.core.results import Result, SweepCommand, Warning
    from meterctl.core.stores.mongo.devkit import DevkitDatabase
    from meterctl.core.stores.overlay import OverlayStore
    from meterctl.core.sweep.sweeper import PageBooker, Sweeper


class Wiring:
    """The parts that one command needs, made from its options."""

    def __init__(
        self,
        options: Options,
        environ: Mapping[str, str] | None = None,
        *,
        alone: bool = True,
        formats: tuple[str, ...] = (),
    ) -> None:
        """``alone``: no other process shares the work. ``formats``: further output formats of this command."""
        self.options = options
        self.formats = (*FORMATS, *formats)
        self.environ = os.environ if environ is None else environ
        #: The name of the chosen profile, if one is chosen.
        self.profile_name = options.profile or self.environ.get("METERCTL_PROFILE") or None
        #: True if --now or METERCTL_NOW sets the clock.
        self.is_pinned = bool(options.now or self.environ.get("METERCTL_NOW"))
        self._alone = alone
        self._cleanup = ExitStack()
        #: Asks a person about a clock that has jumped; None without a terminal.
        self.ask_about_clock: Confirm | None = None

    @cached_property
    def settings(self) -> "Settings":
        from meterctl.config.loading import load_settings

        return load_settings(self.options.config, self.environ)

    @cached_property
    def profile(self) -> "Profile":
        """The chosen profile; an empty one if none is chosen."""
        from meterctl.config.settings import Profile

        name = self.profile_name
        if name is None:
            return Profile()
        profiles = self.settings.profiles
        if name not in profiles:
            known = f"profiles: {', '.join(profiles)}" if profiles else "the config has no profiles"
            near = did_you_mean(name, profiles)
            raise BadInput(f"there is no profile {name!r}{near}", hint=known, code="unknown_profile")
        return profiles[name]

    @cached_property
    def store_url(self) -> str:
        """The store URL, from --store, --profile, METERCTL_STORE or METERCTL_PROFILE, in this order."""
        from meterctl.config.settings import default_store

        url = self.options.store or (self._store_of(self.profile) if self.options.profile else None)
        return url or self._store_of_environment() or self._store_of(self.profile) or default_store(self.environ)

    def _store_of_environment(self) -> str | None:
        url = self.environ.get("METERCTL_STORE")
        if not url or self.profile.store or self.profile.store_file:
            return url
        return with_prefix(url, self.profile.collection_prefix)  # the profile leaves its store to the environment

    def _store_of(self, profile: "Profile") -> str | None:
        from meterctl.config.settings import read_store_file

        url = profile.store
        if profile.store_file is not None:
            url = read_store_file(self.settings, profile.store_file)
        return None if url is None else with_prefix(url, profile.collection_prefix)

    @cached_property
    def in_force(self) -> "Settings":
        """The settings for this command: limits and rules for reasons as the profile changes them."""
        return self.settings if self.profile_name is None else self.settings.under(self.profile)

    def check_named(self) -> None:
        """Raise `BadInput` before a write to a production store that the command line does not name."""
        if self.options.store or self.options.profile:
            return
        for name, profile in self.settings.profiles.items():
            if profile.production and self._works_on(name, profile):
                raise BadInput(
                    f"profile {name} is in production, and the command line does not name it; this would write to "
                    f"{self.describe_store()}",
                    hint=f"to write there, add --profile {name}; to try it first, add --dry-run",
                    code="production_not_named",
                )

    def _works_on(self, name: str, profile: "Profile") -> bool:
        # A profile may take its store from the environment; then only its name shows that it is in production.
        if name == self.profile_name:
            return True
        try:
            store = self._store_of(profile)
        except BadInput as problem:
            if problem.code == "store_file_unreadable":  # then this user cannot write to that store
                return False
            raise
        return store is not None and same_place(store, self.store_url)

    @cached_property
    def clock(self) -> "Clock":
        from meterctl.process.clock import SystemClock, pinned_clock

        instant = self.options.now or self.environ.get("METERCTL_NOW")
        if not instant:
            return SystemClock()
        if self.store_url.startswith("mongodb") and not self.settings.allow_time_travel:
            raise BadInput(
                "a pinned clock is not accepted on MongoDB",
                hint="leave out --now / METERCTL_NOW, or set allow_time_travel = true in the config of a test system",
                code="time_travel",
            )
        with name_source("--now" if self.options.now else "METERCTL_NOW"):
            return pinned_clock(instant)

    def check_clock(self) -> None:
        """Raise `ClockSkew` or `ClockJump` before a write that does not use the ledger."""
        self.write_clock().now()

    def warn_of_pinned_clock(self, result: "Result") -> None:
        """Add a warning to the result of a write, because the clock is pinned."""
        from meterctl.core.results import WriteResult

        notice = self._clock_notice()
        if isinstance(result, WriteResult) and notice not in result.warnings:
            result.warn(*notice)

    def _clock_notice(self) -> "Warning":
        """Return the warning for every receipt that the clock is pinned."""
        from meterctl.core.results import Warning

        message = f"the clock is pinned at {self.now[:10]} {self.now[11:16]} UTC, by --now or METERCTL_NOW"
        return Warning("clock_pinned", message)

    def write_clock(self, *, writes: bool = True) -> "CheckedClock":
        """Return a clock for bookings: compared with the store's clock before its time is used. In a rehearsal nothing
        ``writes``."""
        from meterctl.core.booking.checked_clock import CheckedClock

        return CheckedClock(
            self.clock,
            self.store.clock,
            self.settings.clock_limits,
            is_pinned=self.is_pinned,
            writes=writes and not self.options.dry_run,
            confirm=self._confirm_clock,
        )

    def _confirm_clock(self, problem: str) -> bool:
        options, ask = self.options, self.ask_about_clock
        if options.yes or options.clock_confirmed:
            return True
        if ask is not None and ask(problem):
            self.options = options._replace(clock_confirmed=True)
        return self.options.clock_confirmed

    @cached_property
    def output(self) -> str:
        """The output format: the option, else the environment, else table."""
        chosen = self.options.output or self.environ.get("METERCTL_OUTPUT") or "table"
        if chosen not in self.formats:
            place = "--output" if self.options.output else "METERCTL_OUTPUT"
            message = f"{place}: {chosen!r} is not an output format of this command"
            raise BadInput(message, hint=f"one of {', '.join(self.formats)}", code="bad_output")
        return chosen

    @property
    def now(self) -> "Instant":
        return self.clock.now()

    @property
    def at(self) -> "Instant | None":
        """The time of --at; None: now."""
        if self.options.at is None:
            return None
        from meterctl.core.domain.instants import parse

        with name_source("--at"):
            return parse(self.options.at)

    def elapsed(self) -> float:
        """Return seconds on a monotonic clock, to measure durations."""
        return monotonic()

    def describe_store(self) -> str:
        """Return the store's name, without any secret, and without opening it."""
        return without_secret(self.store_url)

    @property
    def own_files(self) -> list[str]:
        """The files read besides those that a command names: the config, and the embedded store with its log."""
        config = self.settings.source
        return [*([str(config)] if config else []), *files_of(self.store_url)]

    @property
    def embedded(self) -> bool:
        """Return True if the store is a file that this process opens itself."""
        return self.store_url.startswith("sqlite:")

    @cached_property
    def store(self) -> "Store":
        return open_store(self.store_url)

    @cached_property
    def actor(self) -> str:
        """The author of bookings: --actor, METERCTL_ACTOR, the profile, else the login name."""
        name = self.options.actor or self.environ.get("METERCTL_ACTOR") or self.profile.actor
        if name:
            return name
        from meterctl.process.login import login_name

        return login_name()

    @cached_property
    def ledger(self) -> "Ledger":
        """The write path. A dry run books on a scratch layer; ``--plan-out`` also saves the operations."""
        from meterctl.core.booking.ledger import Ledger

        if self.options.plan_out is not None:
            return self._planner(self.plan)
        if self.options.dry_run:
            return self.rehearsal()
        # An append on a server is mostly a wait, on a file this process's own work.
        overlap = self._alone and self.store.clock.has_server
        notice = self._clock_notice() if self.is_pinned else None
        return Ledger(self.store, self.write_clock(), self.settings.terms, overlap=overlap, notice=notice)

    def rehearsal(self) -> "Ledger":
        """Return a ledger that books on a scratch layer and leaves the store unchanged."""
        from meterctl.core.booking.ledger import Ledger

        clock = self.write_clock(writes=False)
        notice = self._clock_notice() if self.is_pinned else None
        return Ledger(self._scratch(), clock, self.settings.terms, dry_run=True, notice=notice)

    def _scratch(self) -> "OverlayStore":
        from tempfile import TemporaryDirectory

        from meterctl.core.stores.overlay import OverlayStore
        from meterctl.core.stores.sqlite import SqliteStore

        scratch = self._cleanup.enter_context(TemporaryDirectory(prefix="meterctl-"))
        layer = self._cleanup.enter_context(closing(SqliteStore(f"{scratch}/scratch.db")))
        return OverlayStore(self.store, layer)

    @cached_property
    def plan(self) -> "PlanFile":
        """The plan that ``--plan-out`` names."""
        return self.plan_file(self.options.plan_out or "")

    def plan_file(self, path: str) -> "PlanFile":
        """Return a saved-plan file at ``path``; it appears when it is saved."""
        from meterctl.core.backfill.saved_plans.plan_file import PlanFile
        from meterctl.core.files.atomic import check_apart

        check_apart("--plan-out", path, *self.own_files, code="bad_file")
        plan = PlanFile(path, self.actor, self.now, self.store.describe())
        return self._cleanup.enter_context(closing(plan))

    def save_plan(self, path: str, requests: "Iterable[Request]") -> "Header":
        """Rehearse ``requests``; save those that would book something as a plan, and return its header."""
        plan = self.plan_file(path)
        for _ in self._planner(plan).execute(requests):
            pass  # the planner adds each to the plan
        return plan.save()

    def _planner(self, plan: "PlanFile") -> "Ledger":
        """Return a ledger that rehearses requests and adds them to ``plan``."""
        from meterctl.core.backfill.saved_plans.plan_file import planning_ledger

        return planning_ledger(self._scratch(), self.write_clock(writes=False), self.settings.terms, plan)

    @cached_property
    def reads(self) -> "Reads":
        from meterctl.core.reads.queries import Reads

        return Reads(self.store, self.clock, self.settings.terms)

    def request(self, operation: "Operation", at: "Instant | None" = None) -> "Request":
        """Return the request for ``operation``, with actor, reason, time and limits.

        ``at`` is the time of the event unless --at is set. Raises `BadInput` if a reason is missing.
        """
        from meterctl.core.domain.checks import check_reason
        from meterctl.core.domain.operations import Request

        reason, rules = self.options.reason, self.in_force
        if rules.require_reason or rules.reason_pattern:
            check_reason(operation.name, reason, rules.require_reason, rules.reason_pattern)
        return Request(operation, self.actor, reason, self.at or at, guard=self.guard)

    @cached_property
    def guard(self) -> "Guard | None":
        """The limits of one command at the desk, if there are any. A plan has none, because it books nothing yet."""
        options, limits = self.options, self.in_force.limits
        is_limited = any(limits) and options.plan_out is None
        if not is_limited and options.expect_balance is None and options.expect_seq is None:
            return None
        from meterctl.core.domain.guard import read_guard

        bounds = limits if is_limited else type(limits)()
        return read_guard(options.expect_balance, options.expect_seq, bounds, over_limit=options.over_limit)

    @cached_property
    def shop(self) -> "Shop":
        """The settings for reading payments."""
        from meterctl.core.payments.stripe.shop import Shop

        plans = {price: name for name, spec in self.settings.plans.items() for price in spec.stripe_prices}
        terms = self.settings.terms
        return Shop(self.settings.stripe, terms.packs, plan_prices=plans, default_plan=terms.default_plan)

    @cached_property
    def stripe(self) -> "Reader":
        """Stripe, with the key from the environment. Raises if the store holds payments of the other mode."""
        from meterctl.core.booking.payment_modes import check_key
        from meterctl.core.payments.stripe.gateway import connect

        gateway = connect(self.environ, self.clock.sleep, shop=self.shop)
        check_key(gateway.live, self.store)
        return gateway

    def devkit(self, uri: str | None) -> "DevkitDatabase":
        """Return the old database that ``uri`` names, else METERCTL_DEVKIT. It is read, never written to."""
        from meterctl.core.stores.mongo.devkit import connect_devkit

        return self._cleanup.enter_context(closing(connect_devkit(uri or self.environ.get("METERCTL_DEVKIT"))))

    def sweeper(self, command: "SweepCommand", booker: "PageBooker | None" = None) -> "Sweeper":
        """Return a sweep for ``command``; ``booker`` books in place of this process."""
        from meterctl.core.sweep.sweeper import Sweeper

        return Sweeper(self.ledger, command, self.actor, self.at, booker=booker, store=self.describe_store())

    def backfiller(self) -> "Backfiller":
        """Return a booker for the lines of a file, in this process."""
        from meterctl.core.backfill.booker import Backfiller, FileAuthor

        return Backfiller(self.ledger, FileAuthor(self.actor, self.options.reason, self.at))

    def configured_plans(self) -> "list[NewVersion]":
        """Return the plans of the config, as versions to publish."""
        from meterctl.core.booking.plan_publisher import NewVersion

        return [
            NewVersion(
                plan=name,
                weekly_quota=spec.weekly_quota,
                ratios=spec.ratios,
                effective_from=None,
                actor=self.actor,
                reason=None,
                rollover_max=spec.rollover_max,
                rollover_weeks=spec.rollover_weeks,
            )
            for name, spec in self.settings.plans.items()
        ]

    def close(self) -> None:
        self._cleanup.close()
        if "store" in self.__dict__:
            self.store.close()
