"""The command set codec, against pydicom (PS3.7 §6.3, Annex E)."""

from io import BytesIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pynetdicom.dsutils import decode as stock_decode
from pynetdicom.dsutils import encode as stock_encode

from gateway.dimse.protocol.message import CommandDecoder, CommandField, MalformedCommand, decode, encode

EXAMPLES: dict[str, dict[str, Any]] = {
    "C-ECHO-RQ": {
        "AffectedSOPClassUID": "1.2.840.10008.1.1",
        "CommandField": 0x30,
        "MessageID": 7,
        "CommandDataSetType": 0x0101,
    },
    "C-STORE-RQ": {
        "AffectedSOPClassUID": "1.2.840.10008.5.1.4.1.1.2",
        "CommandField": 1,
        "MessageID": 65535,
        "Priority": 2,
        "CommandDataSetType": 1,
        "AffectedSOPInstanceUID": "1.2.3.45",
        "MoveOriginatorApplicationEntityTitle": "MOVER",
        "MoveOriginatorMessageID": 12,
    },
    "C-MOVE-RSP": {
        "CommandField": 0x8021,
        "MessageIDBeingRespondedTo": 1,
        "Status": 0xB000,
        "OffendingElement": (0x00100010, 0x00080018),
        "ErrorComment": "some failed",
        "NumberOfRemainingSuboperations": 0,
        "NumberOfCompletedSuboperations": 3,
        "NumberOfFailedSuboperations": 1,
        "NumberOfWarningSuboperations": 2,
    },
    "N-GET-RQ": {
        "RequestedSOPClassUID": "1.2.3",
        "CommandField": 0x0110,
        "MessageID": 1,
        "RequestedSOPInstanceUID": "1.2.3.4",
        "AttributeIdentifierList": (0x00100010,),
    },
}


def stock(values: dict[str, Any]) -> bytes:
    """The same command set, written by pydicom."""
    dataset = Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, list(value) if isinstance(value, tuple) else value)
    body = stock_encode(dataset, True, True)
    assert body is not None
    dataset.CommandGroupLength = len(body)
    encoded = stock_encode(dataset, True, True)
    assert encoded is not None
    return encoded


@pytest.mark.parametrize("values", EXAMPLES.values(), ids=EXAMPLES.keys())
def test_bytes_are_those_of_pydicom(values: dict[str, Any]) -> None:
    assert encode(values) == stock(values)
    assert encode(dict(reversed(values.items()))) == stock(values)


@pytest.mark.parametrize("values", EXAMPLES.values(), ids=EXAMPLES.keys())
def test_what_pydicom_writes_is_read(values: dict[str, Any]) -> None:
    command = decode(stock(values))
    del command["CommandGroupLength"]
    assert command == values


def test_none_is_left_out() -> None:
    assert encode({"Status": 0, "ErrorComment": None}) == encode({"Status": 0})


@pytest.mark.parametrize(
    ("encoded", "values"),
    [
        (b"\0\0\x02\0\x04\0\0\x001.2 ", {"AffectedSOPClassUID": "1.2"}),
        (b"\0\0\x02\0\x03\0\0\x001.2", {"AffectedSOPClassUID": "1.2"}),
        (b"\0\0\x30\x10\x06\0\0\0 AB \0 ", {"MoveOriginatorApplicationEntityTitle": "AB"}),
        (b"\0\0\x00\x09\0\0\0\0", {}),
        (b"\0\0\x99\x99\x02\0\0\0\x01\0", {}),
        (b"\0\0\x00\x09\x04\0\0\0\x01\0\x02\0", {"Status": 1}),
        (b"\0\0\x02\x09\x02\0\0\0\xe4 ", {"ErrorComment": "ä"}),
    ],
    ids=["space padding", "odd length", "title", "empty number", "unknown element", "two values", "not ASCII"],
)
def test_odd_senders_are_read(encoded: bytes, values: dict[str, Any]) -> None:
    assert decode(encoded) == values


@pytest.mark.parametrize(
    "encoded",
    [
        b"\0",
        b"\0\0\x02\0\x04\0\0",
        b"\0\0\x02\0\x04\0\0\x001.2",
        b"\x08\0\x02\0\0\0\0\0",
        b"\0\0\x02\0\xff\xff\xff\xff",
    ],
    ids=["one byte", "header cut", "value cut", "another group", "undefined length"],
)
def test_malformed_command_sets(encoded: bytes) -> None:
    with pytest.raises(MalformedCommand):
        decode(encoded)


@given(st.binary(max_size=200))
def test_no_bytes_crash_the_decoder(encoded: bytes) -> None:
    try:
        command = decode(encoded)
    except MalformedCommand:
        return
    assert isinstance(command, dict)


def test_command_fields_are_those_of_pynetdicom() -> None:
    from pynetdicom.dimse_messages import _MESSAGE_TYPES

    stock_fields = {name.removesuffix("-RQ"): field for field, (name, _) in _MESSAGE_TYPES.items() if field < 0x8000}
    assert {field.name.replace("_", "-"): int(field) for field in CommandField} == {
        name.replace("_", "-"): field for name, field in stock_fields.items()
    }
    assert stock_decode(BytesIO(encode({"Status": 0x0122})), True, True).Status == 0x0122


def decoded(decode_one: Any, data: bytes) -> object:
    """The command, or the words of its error."""
    try:
        return decode_one(data)
    except MalformedCommand as error:
        return str(error)


UIDS = st.sampled_from(["1.2.3.45", "1.2.3.46", "1.2.3.456", "", "1.2.3.45".ljust(300, "7")])


@given(st.data())
def test_a_decoder_that_remembers_reads_what_the_plain_one_reads(data: st.DataObject) -> None:
    """Commands of one association: most as the one before, some changed in any byte, cut, or with an element twice."""
    decoder = CommandDecoder()
    for _ in range(data.draw(st.integers(2, 6))):
        name = data.draw(st.sampled_from([*EXAMPLES, "C-STORE-RQ", "C-STORE-RQ", "C-MOVE-RSP"]))
        values = {**EXAMPLES[name], "AffectedSOPInstanceUID": data.draw(UIDS)}
        for keyword in {"MessageID", "MessageIDBeingRespondedTo"} & values.keys():
            values[keyword] = data.draw(st.integers(0, 65535))
        if data.draw(st.booleans()):
            del values["AffectedSOPInstanceUID"]
        encoded = bytearray(encode(values))
        match data.draw(st.sampled_from(["as it is", "as it is", "changed", "cut", "twice"])):
            case "changed":
                encoded[data.draw(st.integers(0, len(encoded) - 1))] = data.draw(st.integers(0, 255))
            case "cut":
                del encoded[data.draw(st.integers(0, len(encoded))) :]
            case "twice":
                encoded += encode({"MessageID": 7, "AffectedSOPInstanceUID": "1.2"})[12:]
        assert decoded(decoder.decode, bytes(encoded)) == decoded(decode, bytes(encoded))


def test_a_decoder_that_remembers_gives_each_command_away() -> None:
    decoder = CommandDecoder()
    for message_id in (1, 2, 3):
        command = decoder.decode(encode({**EXAMPLES["C-STORE-RQ"], "MessageID": message_id}))
        assert command["MessageID"] == message_id
        assert command["MoveOriginatorMessageID"] == 12
        command.clear()
