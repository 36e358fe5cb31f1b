"""The oddities of an A-ASSOCIATE PDU that can be read all the same (PS3.8 §9.3.2 and §9.3.3, Annex D; PS3.7 Annex D.3).

Unknown items and sub-items, and reserved fields that are not zero, are not odd: PS3.8 §9.3.1 says to pass over them.
"""

from __future__ import annotations

import re

from gateway.dimse.protocol.associate_request import items

_MAXIMUM_LENGTH, _IMPLEMENTATION_CLASS, _IMPLEMENTATION_VERSION = 0x51, 0x52, 0x55
_UID = re.compile(rb"[0-9][0-9.]{0,63}")
LONGEST_VERSION_NAME = 16
"""Characters (PS3.7 §D.3.3.2.3)."""


def odd_user_information(information: bytes | None) -> tuple[str, ...]:
    """The oddities of the sub-items of a user information item (None: there is none), in words that quote nothing of
    them.

    Raises:
        MalformedAssociate: it cannot be cut into sub-items.
    """
    if information is None:
        return ("no user information",)
    found = {item_type: item[4:] for item_type, item in items(information)}
    return (
        *(("no maximum length",) if _MAXIMUM_LENGTH not in found else ()),
        *_odd_class(found.get(_IMPLEMENTATION_CLASS)),
        *_odd_name(found.get(_IMPLEMENTATION_VERSION)),
    )


def _odd_class(uid: bytes | None) -> tuple[str, ...]:
    if uid is None:
        return ("no implementation class UID",)
    return () if _UID.fullmatch(uid) else ("an implementation class UID that is no UID",)


def _odd_name(name: bytes | None) -> tuple[str, ...]:
    if name is None:
        return ()
    is_long = not 0 < len(name) <= LONGEST_VERSION_NAME
    return (
        *((f"an implementation version name of {len(name)} characters",) if is_long else ()),
        *(("an implementation version name that is not ASCII",) if not name.isascii() else ()),
    )
