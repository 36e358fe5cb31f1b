"""Bytes that are read, written or passed on."""

from __future__ import annotations

Buffer = bytes | bytearray | memoryview
