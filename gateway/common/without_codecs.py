"""Keeps native pixel codecs out of this process.

pydicom loads every codec that it finds when it is imported. The gateway itself decodes no pixels: that is for worker
processes (`gateway.conversion`), which may crash. Hidden, the codecs cost it no time, no memory and no trust.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

HIDDEN = frozenset({"PIL", "_CharLS", "gdcm", "jpeg_ls", "libjpeg", "numpy", "openjpeg", "pylibjpeg", "rle"})
"""Packages that pydicom looks for, and works without."""


class HiddenModules:
    """Finds none of `HIDDEN`, and lets others look for the rest."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name.partition(".")[0] in HIDDEN:
            raise ModuleNotFoundError(f"{name} is for worker processes alone", name=name)
        return None


def hide_codecs() -> None:
    """Hide the packages of `HIDDEN`. The process that is the gateway calls this before pydicom is imported."""
    sys.meta_path.insert(0, HiddenModules())
