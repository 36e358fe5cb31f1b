"""Encoded data sets with several holders: the receiver, the sender and the spool."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from gateway.ports.encoded_data_set import DataSetReceiver, EncodedDataSet


class SharedDataSet:
    """One holder's share of an encoded data set; the last share that is closed closes it. On the event loop alone."""

    __slots__ = ("_holders", "inner")

    def __init__(self, inner: EncodedDataSet, holders: list[int] | None = None) -> None:
        self.inner = inner
        """The data set itself; it stays the shares' to close."""
        self._holders: list[int] | None = [1] if holders is None else holders

    @property
    def length_bytes(self) -> int:
        return self.inner.length_bytes

    def view(self) -> memoryview:
        """All bytes."""
        return self.inner.view()

    def chunks(self, size_bytes: int) -> Iterable[memoryview | bytes]:
        """The bytes in pieces."""
        return self.inner.chunks(size_bytes)

    def share(self) -> SharedDataSet:
        """One more share for another holder. Raises ValueError when this share is closed."""
        if self._holders is None:
            raise ValueError("a closed share")
        self._holders[0] += 1
        return SharedDataSet(self.inner, self._holders)

    def close(self) -> None:
        """End this holder's share; a second call does nothing."""
        holders, self._holders = self._holders, None
        if holders is None:
            return
        holders[0] -= 1
        if not holders[0]:
            self.inner.close()


class SharingReceiver:
    """A receiver whose data set can be shared, and that tells of every fragment."""

    __slots__ = ("_receiver", "_touch")

    def __init__(self, receiver: DataSetReceiver, touch: Callable[[], None]) -> None:
        self._receiver = receiver
        self._touch = touch

    def write(self, fragment: memoryview) -> Awaitable[None] | None:
        """Raises SpoolFull, ObjectTooLarge."""
        self._touch()
        return self._receiver.write(fragment)

    def finish(self) -> SharedDataSet:
        """Raises SpoolFull."""
        return SharedDataSet(self._receiver.finish())

    def discard(self) -> None:
        """Free what was kept."""
        self._receiver.discard()
