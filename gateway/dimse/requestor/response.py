"""One response to a C-FIND, C-GET or C-MOVE request (PS3.7 §9.1.2 to §9.1.4)."""

from __future__ import annotations

from dataclasses import dataclass, field
from io import BytesIO

from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset

from gateway.dataset.encoding import DEFLATED, encodings_of
from gateway.dataset.inflation import inflate
from gateway.dimse.protocol.identifiers import LARGEST_IDENTIFIER_BYTES, check, read_failed_list
from gateway.dimse.protocol.message import Command
from gateway.model.dimse_status import Category
from gateway.ports.errors import GatewayError


@dataclass(frozen=True, slots=True)
class Response:
    """One response."""

    status: int
    identifier: bytes
    """The identifier as it came, in `transfer_syntax_uid`; empty without one."""
    transfer_syntax_uid: str
    command: Command = field(repr=False)

    @property
    def is_pending(self) -> bool:
        """True when more will come."""
        return Category.of(self.status) is Category.PENDING

    @property
    def error_comment(self) -> str:
        """Error Comment (0000,0902); peers quote patients in it."""
        return str(self.command.get("ErrorComment", ""))

    @property
    def remaining(self) -> int | None:
        return self.command.get("NumberOfRemainingSuboperations")

    @property
    def completed(self) -> int | None:
        return self.command.get("NumberOfCompletedSuboperations")

    @property
    def failed(self) -> int | None:
        return self.command.get("NumberOfFailedSuboperations")

    @property
    def warning(self) -> int | None:
        return self.command.get("NumberOfWarningSuboperations")

    @property
    def dataset(self) -> Dataset:
        """The identifier, decoded.

        Raises:
            Unreadable: it is no data set in its transfer syntax.
        """
        if not self.identifier:
            return Dataset()
        view, uid = memoryview(self.identifier), self.transfer_syntax_uid
        check(view, uid)
        encoding = encodings_of(uid)[0]
        plain = inflate(view, LARGEST_IDENTIFIER_BYTES) if uid in DEFLATED else view
        return read_dataset(BytesIO(plain), encoding.is_implicit, not encoding.is_big_endian)

    @property
    def failed_sop_instance_uids(self) -> tuple[str, ...]:
        """Failed SOP Instance UID List (0008,0058) of a retrieve's final response; () when absent or unreadable."""
        try:
            return read_failed_list(memoryview(self.identifier), self.transfer_syntax_uid)
        except GatewayError:
            return ()
