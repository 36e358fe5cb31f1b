"""The action that sends an object on in another transfer syntax."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Literal

from gateway.dataset.codecs import (
    EXPLICIT,
    IMPLICIT,
    JPEG_2000,
    JPEG_LS_NEAR_LOSSLESS,
    LOSSLESS,
    TO_INSTALL,
    missing,
    short_name,
)
from gateway.dataset.derivation import Loss
from gateway.dataset.transcode import can_write
from gateway.model.attribute_path import AttributePath
from gateway.model.problem import SettingProblem
from gateway.ports.edits import Alteration
from gateway.ports.facts import Facts
from gateway.ports.kinds import Conversion, action
from gateway.routing.language.fields import TransferSyntaxUID

MOST_ERROR = 255
"""The largest error of a sample, for JPEG-LS near-lossless."""
_WRITABLE = (EXPLICIT, IMPLICIT, *LOSSLESS)


@action("transcode")
@dataclass(frozen=True, slots=True)
class Transcode:
    """Sends the object on in one of the transfer syntaxes `to`: as it is when it is in one of them, else converted to
    the first that works for it. So `to: [JPEG2000Lossless]` compresses all, and `to: [JPEG2000Lossless,
    ExplicitVRLittleEndian]` leaves alone what is in either.

    It reads every native transfer syntax, RLE, JPEG (baseline, extended, progressive, lossless), JPEG-LS, JPEG 2000 and
    HTJ2K; it writes implicit and explicit VR little endian, RLE, JPEG-LS and JPEG 2000. Pixels stay exactly as they are
    and the SOP Instance UID is kept. An object without pixels is never compressed. An object that none of `to` works
    for, or that the codec crashes on, takes too long for or too much memory, is refused, with the reason: a dead letter
    that can be tried again. With `otherwise: keep` it is sent as it is.

    JPEG2000 and JPEGLSNearLossless only leave alone what is in them already, unless `ratio` (JPEG 2000: how many times
    smaller) or `near` (JPEG-LS: how much a sample may differ) says how much may be lost. The result is then a new,
    derived object with a SOP Instance UID of its own that refers to its source.

    It runs in worker processes, see `gateway.conversion`, only under a route's `then`.
    """

    to: tuple[TransferSyntaxUID, ...]
    ratio: float | None = None
    near: int | None = None
    otherwise: Literal["refuse", "keep"] = "refuse"

    example: ClassVar[str] = "transcode: {to: [JPEG2000Lossless, ExplicitVRLittleEndian]}"

    def edits(self, facts: Facts) -> Iterable[Alteration]:
        return ()

    def attributes(self) -> Iterable[AttributePath]:
        return ()

    def convert(self, facts: Facts) -> Conversion | None:
        if facts.transfer_syntax_uid in self.to:
            return None
        loss = {name: value for name, value in (("ratio", self.ratio), ("near", self.near)) if value is not None}
        return Conversion("transcode", {"to": list(self.to), **loss}, is_optional=self.otherwise == "keep")

    def problems(self) -> Iterable[SettingProblem]:
        loss = Loss(self.ratio, self.near)
        for name, value, least, most in (("ratio", self.ratio, 1.0, 1000.0), ("near", self.near, 1, MOST_ERROR)):
            if value is not None and not least <= value <= most:
                yield (name,), f"expected a number from {least:g} to {most:g}"
        for name, value, uid in (("ratio", self.ratio, JPEG_2000), ("near", self.near, JPEG_LS_NEAR_LOSSLESS)):
            if value is not None and uid not in self.to:
                yield (name,), f"`{name}` is for {short_name(uid)}, which `to` does not list"
        writable = [uid for uid in self.to if can_write(uid, loss)]
        if not writable:
            yield ("to",), f"nothing can be converted to any of these; {_advice(self.to)}"
        for index, uid in enumerate(self.to):
            if uid in writable and (packages := missing([uid])):
                names = ", ".join(packages)
                yield ("to", index), f"{short_name(uid)} needs {names}; {TO_INSTALL}"


def _advice(to: tuple[TransferSyntaxUID, ...]) -> str:
    if JPEG_2000 in to:
        return "JPEG2000 loses pixels: say how much with `ratio`, or use JPEG2000Lossless"
    if JPEG_LS_NEAR_LOSSLESS in to:
        return "JPEGLSNearLossless loses pixels: say how much with `near`, or use JPEGLSLossless"
    return f"what can be written is {', '.join(map(short_name, _WRITABLE))}"
