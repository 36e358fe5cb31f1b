"""The association that handlers see: its two sides."""

from __future__ import annotations

import dataclasses
import zlib
from types import SimpleNamespace
from typing import Any

import pytest
from pynetdicom.ae import ApplicationEntity

from gateway.dimse.pynetdicom_contract.handler_association import HandlerAssociation
from gateway.model.association import AssociationFacts
from tests.support.dimse.rig import associate_rq

FACTS = AssociationFacts("TESTER", "GATEWAY", "192.0.2.7", remote_port=4711)


class Opening:
    """An association whose request comes in while its facts are read; `is_there` when it came before."""

    def __init__(self, *, is_there: bool) -> None:
        self.host = SimpleNamespace(ae_title="GATEWAY", ae=ApplicationEntity())
        self.local_address = ("127.0.0.1", 104)
        self.loop = None
        self.on_end: list[Any] = []
        self.is_over = False
        self.associate_rq = self.associate_ac = b""
        self._facts = dataclasses.replace(FACTS, calling_ae_title="", called_ae_title="")
        if is_there:
            self.come_in()

    def come_in(self) -> None:
        self._facts, self.associate_rq = FACTS, zlib.compress(associate_rq())

    @property
    def facts(self) -> AssociationFacts:
        facts = self._facts
        self.come_in()
        return facts


@pytest.mark.parametrize("is_there", [False, True], ids=["comes in meanwhile", "came before"])
def test_a_side_is_kept_only_with_its_title(is_there: bool) -> None:
    association: Any = Opening(is_there=is_there)
    handler_association = HandlerAssociation(association)
    first = handler_association.requestor
    assert first.ae_title == ("TESTER" if is_there else "")
    assert handler_association.requestor.ae_title == "TESTER"
    assert (handler_association.requestor is first) is is_there
    assert handler_association.requestor is handler_association.requestor
