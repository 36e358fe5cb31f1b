"""A folder of DICOM files: each object at the path that a template gives, complete or not there at all."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from gateway.common.file_modes import CLOSE_IT, OPEN_TO_OTHERS, is_reachable_by_others, set_mode
from gateway.dataset.file_meta import without_file_meta
from gateway.destinations.drafts import Draft, Drafts
from gateway.destinations.part10_head import HEAD_BYTES, data_set_offset, file_meta
from gateway.destinations.safe_path import SafeFacts, relative_path
from gateway.model.association import AssociationFacts
from gateway.model.attribute_path import AttributePath
from gateway.model.delivery import Deferred, Delivered, Outcome, Refused
from gateway.model.hops import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from gateway.ports import kinds as port_kinds
from gateway.ports.destination import Outbound
from gateway.ports.encoded_data_set import EncodedDataSet
from gateway.ports.errors import ConfigurationError, Refusal, fit_for_log
from gateway.ports.facts import ReadTogether
from gateway.ports.kinds import DestinationContext
from gateway.routing.actions.deidentification.marks import PATIENT_IDENTITY_REMOVED
from gateway.routing.kept_facts import read_for_files
from gateway.routing.language.template import Template
from gateway.spool.body import FileDataSet, verify
from gateway.spool.pieces import EditedDataSet

CHUNK_BYTES = 1024**2
NO_FILE = "the path template gives no path for this object, or no file can be made of it"
"""The reason in the log when the real one may quote the object."""
MOST_NUMBERS = 10_000
"""Files with one name but other bytes, before we give up counting."""
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.EHOSTDOWN})
"""The whole folder is in trouble, not this file."""
FORBIDDEN = frozenset({errno.EACCES, errno.EPERM})
"""The errors that, when they meet an entry of the root itself, keep all objects from being written."""

FOLDER_MODES = {"owner": 0o700, "group": 0o750, "others": 0o755}
FILE_MODES = {"owner": 0o600, "group": 0o640, "others": 0o644}
"""File modes by `access`, whatever the umask."""


class RootUnusable(Exception):
    """The root itself is the trouble, whatever object comes; `str()` says why."""


@port_kinds.destination("folder")
@dataclass(frozen=True, slots=True)
class Folder:
    """A folder that takes Part 10 files."""

    path_template: str
    root: str
    """Absolute folder that no rendered path may leave."""
    on_conflict: Literal["keep", "replace", "number"] = "number"
    """A file with other bytes is there already: keep it and refuse ours, replace it, or write beside it."""
    access: Literal["owner", "group", "others"] = "owner"
    """Users who may read the files, besides the gateway's own."""

    def open(self, context: DestinationContext) -> FolderDestination:
        """Raises ConfigurationError: the path template is none."""
        return FolderDestination(context.peer.name, self)

    def attributes(self) -> tuple[AttributePath, ...]:
        """The attributes of the path and of the file meta information. Raises ValueError: the template is none."""
        return read_for_files(Template(self.path_template))

    def place(self) -> str:
        return self.root


class FolderDestination:
    """Opens channels to one folder; files are written in threads.

    Where another file system is found than at first (a share that was unmounted leaves the empty folder below it), the
    destination is down: what is written there would be hidden by the next mount. So it is where the root cannot be
    made, opened or written into, or is open to every user of the machine.
    """

    def __init__(self, peer: str, folder: Folder, sync: Callable[[int], None] = os.fsync) -> None:
        try:
            self._template = Template(folder.path_template)
        except ValueError as error:
            raise ConfigurationError(f"the path of folder {peer!r}: {error}") from error
        self._read = read_for_files(self._template)
        self._folder = folder
        self._sync = sync
        self._device: int | None = None
        """The device of the root, once it was opened."""
        self._drafts = Drafts()

    channels_at_once = 1

    def on_behalf_of(self, sender: AssociationFacts) -> FolderDestination:
        """A folder is the same for all."""
        return self

    def channel(self) -> FolderDestination:
        """The folder itself: there is no line to it."""
        return self

    async def prepare(self, kinds: Sequence[tuple[str, str]]) -> None:
        """Do nothing: a folder takes every kind."""

    def takes(self, kind: tuple[str, str]) -> bool:
        """A folder takes every kind."""
        return True

    async def send(self, outbound: Outbound) -> Outcome:
        """Write the file; when this returns Delivered it is on disk under its name."""
        writing = asyncio.ensure_future(asyncio.to_thread(self._write, outbound))
        try:
            return await asyncio.shield(writing)
        except asyncio.CancelledError:
            await asyncio.wait([writing])  # a thread cannot be stopped, and it reads the body
            raise

    async def close(self) -> None:
        """Do nothing: a folder holds nothing open."""

    def _write(self, outbound: Outbound) -> Outcome:
        root = self._folder.root
        try:
            if isinstance(outbound.facts, ReadTogether):
                outbound.facts.read(self._read)
            path = relative_path(self._template.render(SafeFacts(outbound.facts)), root)
            head, body = _head(outbound), _body(outbound)
        except Refusal as error:
            return Refused(str(error), log_reason=fit_for_log(error) or NO_FILE, kind="file")
        try:
            return self._put(path, head, body)
        except RootUnusable as error:
            return Deferred(f"cannot write a file under {root}: {error}", is_destination_down=True)
        except OSError as error:
            # The path below the root is made of the object's values: it stands in no reason.
            reason = f"cannot write a file under {root}: {_plain(error)}"
            return Deferred(reason, is_destination_down=error.errno in FULL)

    def _put(self, path: PurePosixPath, head: bytes, body: EncodedDataSet) -> Outcome:
        folder = self._open_folder(path.parts[:-1])
        try:
            if self._folder.on_conflict != "replace":
                settled = _existing(folder, path.name, body)
                if settled:
                    self._make_durable(folder, path.name)
                if settled is not None and (settled or self._folder.on_conflict == "keep"):
                    return self._kept(is_same=settled)
            with _in_root(is_root=len(path.parts) == 1):
                draft = self._drafts.begin(folder)
            try:
                draft.fill(head, body.chunks(CHUNK_BYTES), FILE_MODES[self._folder.access])
                outcome = self._name(folder, draft, path, body)
            finally:
                draft.close(folder)
            os.fsync(folder)
            return outcome
        finally:
            os.close(folder)

    def _open_folder(self, parts: Sequence[str]) -> int:
        """A descriptor of the folder below the root, made where missing. No step below the root follows a link.

        Raises:
            RootUnusable: see the class.
            OSError: a folder below the root cannot be made or opened.
        """
        mode = FOLDER_MODES[self._folder.access]
        folder = self._open_root(mode)
        try:
            for depth, part in enumerate(parts):
                below = _open_below(folder, part, mode, is_root=depth == 0)
                os.close(folder)
                folder = below
        except BaseException:
            os.close(folder)
            raise
        return folder

    def _open_root(self, mode: int) -> int:
        try:
            folder = _made(self._folder.root, mode)
        except OSError as error:
            raise RootUnusable(_plain(error)) from error
        try:
            self._check_device(os.fstat(folder).st_dev)
            if self._folder.access != "others" and is_reachable_by_others(self._folder.root):
                raise RootUnusable(f"{OPEN_TO_OTHERS}; {CLOSE_IT}")
        except OSError as error:
            os.close(folder)
            raise RootUnusable(_plain(error)) from error
        except BaseException:
            os.close(folder)
            raise
        return folder

    def _check_device(self, found: int) -> None:
        if self._device is None:
            self._device = found
        if found != self._device:
            reason = "another file system is there than at first; mount the right one, or reload when this is meant"
            raise OSError(errno.ESTALE, reason)

    def _name(self, folder: int, draft: Draft, path: PurePosixPath, body: EncodedDataSet) -> Outcome:
        """Give the complete file its name, or find that it is there already."""
        if self._folder.on_conflict == "replace":
            draft.replace(folder, path.name)
            return Delivered()
        most = 1 if self._folder.on_conflict == "keep" else MOST_NUMBERS
        for number in range(most):
            name = _numbered(path, number)
            if draft.take_name(folder, name):
                return Delivered()
            if _existing(folder, name, body):
                self._make_durable(folder, name)
                return Delivered()
        return self._kept(is_same=False)

    def _make_durable(self, folder: int, name: str) -> None:
        """A file that is there already: its writer may have been killed, or failed, before it was on disk."""
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=folder)
        try:
            self._sync(descriptor)
        finally:
            os.close(descriptor)
        self._sync(folder)

    def _kept(self, *, is_same: bool) -> Outcome:
        if is_same:
            return Delivered()
        reason = f"a file of this name with other content is under {self._folder.root} already, and is kept"
        return Refused(reason, kind="file")


def _body(outbound: Outbound) -> EncodedDataSet:
    """The data set as it stands in the file: without group 0002. A large one that was edited is not joined to look for
    it, but where it begins with it."""
    body = outbound.body
    is_looked_through = body.length_bytes <= CHUNK_BYTES or isinstance(body, FileDataSet)
    if not is_looked_through and bytes(next(iter(body.chunks(2)), b"")[:2]) not in (b"\2\0", b"\0\2"):
        return body
    pieces = without_file_meta(body.view(), outbound.transfer_syntax_uid)
    if pieces is None:
        return body
    verify(body)
    return EditedDataSet(pieces, body)


def _head(outbound: Outbound) -> bytes:
    return file_meta(
        sop_class_uid=outbound.sop_class_uid,
        sop_instance_uid=outbound.sop_instance_uid,
        transfer_syntax_uid=outbound.transfer_syntax_uid,
        implementation_class_uid=IMPLEMENTATION_CLASS_UID,
        implementation_version_name=IMPLEMENTATION_VERSION_NAME,
        source_ae_title="" if _is_deidentified(outbound) else outbound.facts.association.calling_ae_title,
    )


def _is_deidentified(outbound: Outbound) -> bool:
    """Then the file may not tell where the object came from either (PS3.15 §E.1.1)."""
    return outbound.facts.values(PATIENT_IDENTITY_REMOVED) == ("YES",)


def _made(path: str, mode: int) -> int:
    """A descriptor of the folder `path`; it and those above it are made where missing."""
    flags = os.O_RDONLY | os.O_DIRECTORY
    try:
        return os.open(path, flags)
    except FileNotFoundError:
        parent = _made(os.path.dirname(path), mode)
        try:
            return _open_below(parent, os.path.basename(path), mode)
        finally:
            os.close(parent)


def _open_below(folder: int, name: str, mode: int, *, is_root: bool = False) -> int:
    """A descriptor of the folder `name` in `folder`, made with `mode` where missing. No symbolic link is followed.

    Raises:
        RootUnusable: `folder` is the root, and we may not make a folder in it.
        OSError: anything else.
    """
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
    try:
        return os.open(name, flags, dir_fd=folder)
    except FileNotFoundError:
        with _in_root(is_root=is_root):
            _quietly(FileExistsError, lambda: os.mkdir(name, 0o700, dir_fd=folder))  # another worker may be first
        os.fsync(folder)
        below = os.open(name, flags, dir_fd=folder)
        set_mode(below, mode)
        return below


@contextmanager
def _in_root(*, is_root: bool) -> Generator[None]:
    """A context for entries of the root: a missing right there is a fault of every object."""
    try:
        yield
    except OSError as error:
        if is_root and error.errno in FORBIDDEN:
            raise RootUnusable(_plain(error)) from error
        raise


def _plain(error: OSError) -> str:
    return error.strerror or type(error).__name__


def _existing(folder: int, name: str, body: EncodedDataSet) -> bool | None:
    """True when the file holds these data set bytes, False when it holds others, None when there is none."""
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno == errno.ELOOP:  # a symbolic link: never ours
            return False
        raise
    with open(descriptor, "rb") as file:
        offset = data_set_offset(file.read(HEAD_BYTES))
        if offset is None or os.fstat(descriptor).st_size - offset != body.length_bytes:
            return False
        file.seek(offset)
        return all(file.read(len(chunk)) == chunk for chunk in body.chunks(CHUNK_BYTES))


def _numbered(path: PurePosixPath, number: int) -> str:
    return path.name if number == 0 else f"{path.stem}.{number}{path.suffix}"


def _quietly(expected: type[OSError], do: Callable[[], object]) -> None:
    try:
        do()
    except expected:
        return
