"""Reload: all or nothing, one at a time, none lost, each reported."""

from __future__ import annotations

import asyncio
import dataclasses
import sys
import threading
from collections.abc import Callable

import pytest

from gateway.config import Loaded
from gateway.config.schema import schema
from gateway.lifecycle.conditions import of_reload
from gateway.lifecycle.listening import Listening
from gateway.lifecycle.loading import SWITCH_S, Loading
from gateway.lifecycle.reload import WRITTEN_AS, Reloader, ReloadReport, TableInForce, changed_process_settings
from gateway.model.listener import Limits, Listener, Timers
from gateway.model.problem import Mark, Problem
from gateway.model.settings import HTTP, ObjectStoreSettings, S3Settings, Settings, Spool
from gateway.ports.errors import ConfigurationError
from gateway.routing.table import RoutingTable
from tests.support.fakes.acceptor import MemoryAcceptor

SETTINGS = Settings("GATEWAY", (Listener("a", 1),), Spool("/spool"), "/queue.db")
ERROR = Problem(Mark("a.yaml", 3, 5), "unknown-peer", "no peer `pax`")
WARNING = dataclasses.replace(ERROR, severity="warning")


def table(version: str, **settings: object) -> RoutingTable:
    chosen = dataclasses.replace(SETTINGS, **settings)  # type: ignore[arg-type]
    return RoutingTable(version, chosen, (), (), {}, {}, "hold")


def loaded(version: str, *problems: Problem, **settings: object) -> Loaded:
    made = table(version, **settings)
    return Loaded(made.settings, made, problems)


class Bench:
    """A reloader with everything around it."""

    def __init__(self, next_load: Callable[[], Loaded], limit_s: float = 60.0) -> None:
        self.acceptor = MemoryAcceptor()
        self.live = TableInForce(table("1"))
        self.applied: list[str] = []
        self.finished: list[str] = []
        self.trouble: Exception | None = None
        self.late_trouble: Exception | None = None
        self.worth_saying: list[str] = []
        self.reports: list[ReloadReport] = []
        self.requested = asyncio.Event()
        self.listening = Listening(self.acceptor)
        self.reloader = Reloader(
            loading=Loading(next_load, limit_s),
            live=self.live,
            listening=self.listening,
            prepare=self._prepare,
            afterwards=self._finished,
            report=self.reports.append,
            requested=self.requested,
        )

    def _prepare(self, table: RoutingTable) -> Callable[[], None]:
        assert self.live.current is not table, "nothing has changed yet"
        if self.trouble is not None:
            raise self.trouble

        def put_in_force() -> None:
            assert self.live.current is table, "the reference is swapped first"
            self.applied.append(table.version)

        return put_in_force

    async def _finished(self) -> list[str]:
        self.finished.append(self.live.current.version)
        if self.late_trouble is not None:
            raise self.late_trouble
        return self.worth_saying


async def bench(answer: Loaded) -> Bench:
    made = Bench(lambda: answer)
    await made.listening.start(SETTINGS.listeners)
    return made


async def test_a_good_configuration_is_in_force() -> None:
    made = await bench(loaded("2", WARNING))
    report = await made.reloader.reload()
    assert (report.is_applied, report.version, report.number) == (True, "2", 1)
    assert report.problems == ("a.yaml:3:5: warning: unknown-peer: no peer `pax`",)
    assert made.live.current.version == "2"
    assert made.applied == ["2"]
    assert made.reports == [report]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param(
            Loaded(None, None, (ERROR, ERROR)), ["a.yaml:3:5: error: unknown-peer: no peer `pax`"] * 2, id="errors"
        ),
        pytest.param(
            loaded("2", drain_s=5.0, spool=Spool("/other", min_free_bytes=7)),
            [
                "gateway.drain has changed: process settings need a restart",
                "gateway.spool.min_free has changed: process settings need a restart",
                "gateway.spool.path has changed: process settings need a restart",
            ],
            id="process settings",
        ),
        pytest.param(
            loaded("2", listeners=(Listener("b", 2), Listener("bad", 666))),
            ["cannot bind 666"],
            id="listener that cannot open",
        ),
        pytest.param(
            loaded("2", drain_s=5.0, listeners=(Listener("b", 2),)),
            ["gateway.drain has changed: process settings need a restart"],
            id="the rest is not applied either",
        ),
    ],
)
async def test_a_refused_reload_changes_nothing(answer: Loaded, expected: list[str]) -> None:
    made = await bench(answer)
    before = made.live.current
    report = await made.reloader.reload()
    assert not report.is_applied
    assert list(report.problems) == expected
    assert made.live.current is before
    assert report.version == "1"
    assert made.applied == []
    assert list(made.acceptor.listeners) == ["a"]


@pytest.mark.parametrize(
    ("trouble", "told"),
    [
        (ConfigurationError("peer 'pacs' has neither"), "peer 'pacs' has neither"),
        (RuntimeError("no template"), "internal error: RuntimeError; see the log"),
    ],
    ids=["configuration", "fault"],
)
async def test_what_cannot_be_prepared_changes_nothing(trouble: Exception, told: str) -> None:
    made = await bench(loaded("2", WARNING, listeners=(Listener("b", 2),)))
    made.trouble = trouble
    report = await made.reloader.reload()
    assert (report.is_applied, report.version) == (False, "1")
    assert report.problems == (str(WARNING), told)
    assert (made.live.current.version, made.applied, list(made.acceptor.listeners)) == ("1", [], ["a"])
    made.trouble = None
    assert (await made.reloader.reload()).is_applied


@pytest.mark.parametrize(
    ("answer", "cause", "remedy"),
    [
        (Loaded(None, None, (WARNING, ERROR)), str(ERROR), "gateway validate"),
        (loaded("2", WARNING, drain_s=5.0), "gateway.drain has changed: process settings need a restart", "restart"),
        (loaded("2", WARNING, listeners=(Listener("bad", 666),)), "cannot bind 666", "gateway doctor"),
    ],
    ids=["rules", "process settings", "taken port"],
)
async def test_a_refusal_says_what_to_do_about_its_own_cause(answer: Loaded, cause: str, remedy: str) -> None:
    """Not about a warning that stands before it."""
    made = await bench(answer)
    report = await made.reloader.reload()
    (condition,) = of_reload(report)
    assert (report.cause, condition.code) == (cause, "reload_refused")
    assert remedy in report.remedy
    assert f"({cause}); the rules before it are in force: {report.remedy}" in condition.text
    assert report.as_json()["remedy"] == report.remedy


async def test_an_applied_reload_leaves_nothing_to_do() -> None:
    report = await (await bench(loaded("2", WARNING))).reloader.reload()
    assert (report.cause, report.remedy, list(of_reload(report))) == ("", "", [])


async def test_trouble_after_the_swap_takes_nothing_back() -> None:
    made = await bench(loaded("2", listeners=(Listener("b", 2),)))
    made.late_trouble = RuntimeError("no queue")
    report = await made.reloader.reload()
    assert (report.is_applied, report.version) == (True, "2")
    assert report.problems == ("in force, but what is in the queue was not looked at: RuntimeError; see the log",)
    assert (made.applied, made.finished, list(made.acceptor.listeners)) == (["2"], ["2"], ["b"])


async def test_listeners_follow_the_configuration() -> None:
    made = await bench(loaded("2", listeners=(Listener("b", 2),)))
    assert (await made.reloader.reload()).is_applied
    assert list(made.acceptor.listeners) == ["b"]


async def test_the_last_request_always_has_effect() -> None:
    """A request that comes while a reload reads gets a reload of its own, however many come."""
    reading, go_on = threading.Event(), threading.Event()
    versions = iter(["2", "3", "4"])

    def slow_load() -> Loaded:
        reading.set()
        assert go_on.wait(60)
        return loaded(next(versions))

    made = Bench(slow_load)
    await made.listening.start(SETTINGS.listeners)
    task = asyncio.create_task(made.reloader.serve_requests())
    made.requested.set()
    assert await asyncio.to_thread(reading.wait, 60)
    made.requested.set()
    made.requested.set()
    go_on.set()
    async with asyncio.timeout(60):
        while len(made.reports) < 2:
            await asyncio.sleep(0)
    task.cancel()
    assert [report.version for report in made.reports] == ["2", "3"]


async def test_reloads_do_not_overlap() -> None:
    running = 0
    most = 0
    lock = threading.Lock()

    def counting_load() -> Loaded:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        try:
            return loaded("2")
        finally:
            with lock:
                running -= 1

    made = Bench(counting_load)
    await made.listening.start(SETTINGS.listeners)
    await asyncio.gather(*(made.reloader.reload() for _ in range(5)))
    assert most == 1
    assert [report.number for report in made.reports] == [1, 2, 3, 4, 5]


async def test_a_stopping_gateway_reloads_no_more() -> None:
    made = await bench(loaded("2"))
    await made.reloader.close()
    report = await made.reloader.reload()
    assert (report.is_applied, report.problems) == (False, ("the gateway is stopping",))
    assert made.live.current.version == "1"


async def test_a_load_that_hangs_is_given_up_and_reported() -> None:
    go_on = threading.Event()

    def hanging_load() -> Loaded:
        go_on.wait()
        return loaded("2")

    made = Bench(hanging_load, limit_s=0.01)
    try:
        first = await made.reloader.reload()
        second = await made.reloader.reload()
    finally:
        go_on.set()
    assert not first.is_applied
    assert "not read within 0.01 s" in first.problems[0]
    assert not second.is_applied
    assert "still being read" in second.problems[0]
    assert all("can be read" in report.remedy for report in (first, second))
    assert made.live.current.version == "1"


async def test_the_end_of_the_gateway_does_not_wait_for_a_load_that_hangs() -> None:
    reading, go_on = threading.Event(), threading.Event()

    def hanging_load() -> Loaded:
        reading.set()
        go_on.wait()
        return loaded("2")

    made = Bench(hanging_load)
    reload = asyncio.create_task(made.reloader.reload())
    await asyncio.to_thread(reading.wait)
    try:
        await made.reloader.close()
        report = await reload
    finally:
        go_on.set()
    assert (report.is_applied, report.problems) == (False, ("the gateway is stopping",))


async def test_a_load_that_raises_is_refused() -> None:
    def broken_load() -> Loaded:
        raise LookupError("broken")

    made = Bench(broken_load)
    report = await made.reloader.reload()
    assert (report.is_applied, report.problems) == (False, ("internal error: LookupError; see the log",))
    assert made.live.current.version == "1"
    assert made.reports == [report]


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"listeners": ()}, ()),
        ({"ae_title": "OTHER"}, ("gateway.ae_title",)),
        ({"queue_path": "/other.db"}, ("gateway.queue.sqlite",)),
        ({"timers": Timers(idle_s=1)}, ("gateway.timers.idle",)),
        (
            {"limits": Limits(max_pdu_bytes=5000, command_bytes=1)},
            ("gateway.limits.command_size", "gateway.limits.max_pdu"),
        ),
        ({"http": HTTP()}, ("gateway.http",)),
        ({"spool": Spool("/spool", segment_bytes=5)}, ("gateway.spool.segment_size",)),
    ],
    ids=str,
)
def test_changed_process_settings(change: dict[str, object], names: tuple[str, ...]) -> None:
    assert changed_process_settings(SETTINGS, dataclasses.replace(SETTINGS, **change)) == names  # type: ignore[arg-type]


def test_changed_places_of_objects() -> None:
    before = dataclasses.replace(SETTINGS, objects=ObjectStoreSettings(s3=S3Settings("images", access_key_id="AKIA7")))
    for s3, name in (
        (S3Settings("others", access_key_id="AKIA7"), "gateway.store.objects.s3.bucket"),
        (S3Settings("images"), "gateway.store.objects.s3.access_key_id"),
        (None, "gateway.store.objects.s3"),
    ):
        after = dataclasses.replace(SETTINGS, objects=ObjectStoreSettings(s3=s3))
        assert changed_process_settings(before, after) == (name,)
    assert changed_process_settings(before, SETTINGS) == ("gateway.store.objects",)


def test_names_of_process_settings_are_those_that_are_written() -> None:
    """Every leaf of `Settings` but the listeners and the worker has a name that the configuration takes."""
    spec = schema()
    node = dataclasses.replace(SETTINGS, objects=ObjectStoreSettings(s3=S3Settings("images")), node="north-1")
    leaves = [*_leaves(SETTINGS, ""), *_leaves(node, "")]
    for leaf in leaves:
        written = WRITTEN_AS.get(leaf, leaf.removesuffix("_bytes").removesuffix("_s"))
        assert _is_in_schema(spec, ["gateway", *written.split(".")]), written


def _leaves(value: object, prefix: str) -> list[str]:
    found: list[str] = []
    for field in dataclasses.fields(value):  # type: ignore[arg-type]
        if field.name in ("listeners", "worker"):  # `worker` is an argument of the process
            continue
        inner = getattr(value, field.name)
        if dataclasses.is_dataclass(inner):
            found += _leaves(inner, f"{prefix}{field.name}.")
        else:
            found.append(f"{prefix}{field.name}")
    return found


def _is_in_schema(root: dict[str, object], path: list[str]) -> bool:
    node: object = root
    for name in path:
        node = _resolve(root, node)
        properties = node.get("properties", {}) if isinstance(node, dict) else {}
        if name not in properties:
            return False
        node = properties[name]
    return True


def _resolve(root: dict[str, object], node: object) -> object:
    while isinstance(node, dict) and ("$ref" in node or "anyOf" in node or "allOf" in node):
        if "$ref" in node:
            target: object = root
            for part in str(node["$ref"]).removeprefix("#/").split("/"):
                assert isinstance(target, dict)
                target = target[part]
            node = target
        else:
            choices = node.get("anyOf") or node.get("allOf")
            assert isinstance(choices, list)
            node = next(choice for choice in choices if "$ref" in choice)
    return node


async def test_a_load_lets_the_event_loop_have_its_turn() -> None:
    """Objects that arrive meanwhile go through several threads, and would wait for each change."""
    usual_s = sys.getswitchinterval()
    found: list[float] = []

    def load() -> Loaded:
        found.append(sys.getswitchinterval())
        return loaded("b")

    await Loading(load).load(asyncio.Event())

    assert found == [pytest.approx(SWITCH_S)]
    assert sys.getswitchinterval() == usual_s
