"""`delivery:` of a peer: when, and how fast."""

from __future__ import annotations

from typing import TypedDict
from zoneinfo import ZoneInfo

from gateway.common import setting_faults as faults
from gateway.common.quantity import duration_s, size_bytes
from gateway.common.setting_faults import quoted
from gateway.common.week import spans_of
from gateway.config.compile_context import Context
from gateway.config.spec.peers import DeliverySpec
from gateway.config.tree import Place
from gateway.model.delivery_window import WEEK_MINUTES, DeliveryWindow, merged


class DeliveryLimits(TypedDict):
    """Settings of a `Peer`."""

    window: DeliveryWindow | None
    bytes_per_s: float
    objects_per_s: float


def compile_limits(spec: DeliverySpec, place: Place, context: Context) -> DeliveryLimits:
    """The window and the rates. Problems are reported."""
    return {
        "window": _window(spec, place, context),
        "bytes_per_s": _bytes_per_s(spec, place, context),
        "objects_per_s": _objects_per_s(spec, place, context),
    }


def _window(spec: DeliverySpec, place: Place, context: Context) -> DeliveryWindow | None:
    """The window; None where none is written, or where it is always open. Problems are reported."""
    zone = _time_zone(spec, place, context)
    if spec.window is None:
        if spec.time_zone is not None:
            message = "`time_zone` is that of `window`, which is not there; leave it out"
            context.findings.warning(place.at("time_zone").holder, "no-effect", message)
        return None
    spans: list[tuple[int, int]] = []
    at = place.at("window")
    for index, text in enumerate(spec.window):
        try:
            more = spans_of(text)
        except ValueError as error:
            context.error(at.at(index), "bad-window", str(error))
            continue
        if spans and merged(spans) == merged([*spans, *more]):
            message = f"{quoted(text)} adds nothing to what stands before it; leave it out"
            context.findings.warning(at.at(index).mark, "no-effect", message)
        spans += more
    if merged(spans) == ((0, WEEK_MINUTES),):
        message = "this window is always open; leave it out"
        context.findings.warning(at.holder, "no-effect", message)
        return None
    return DeliveryWindow(merged(spans), zone) if spans else None


def _time_zone(spec: DeliverySpec, place: Place, context: Context) -> ZoneInfo | None:
    from gateway.routing.language.time_zone import time_zone  # all kinds of rules: see `gateway.config.section`

    if spec.time_zone is None:
        return None
    try:
        return time_zone(spec.time_zone)
    except ValueError as error:
        context.error(place.at("time_zone"), "unknown-time-zone", str(error))
        return None


def _bytes_per_s(spec: DeliverySpec, place: Place, context: Context) -> float:
    """`rate`; 0 without one."""
    if spec.rate is None:
        return 0.0
    size, _, time = spec.rate.partition("/")
    return _positive(size_bytes(size), time, place.at("rate"), context)


def _objects_per_s(spec: DeliverySpec, place: Place, context: Context) -> float:
    """`objects`; 0 without one."""
    if spec.objects is None:
        return 0.0
    number, _, time = spec.objects.partition("/")
    return _positive(float(number), time, place.at("objects"), context)


def _positive(amount: float, time: str, place: Place, context: Context) -> float:
    if amount <= 0:
        expected = "more than 0; a peer that gets nothing has `enabled: false`"
        context.fault(place, faults.out_of_range(expected, place.shown))
    return amount / duration_s(f"1 {time}")
