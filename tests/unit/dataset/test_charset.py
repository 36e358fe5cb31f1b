"""Specific Character Set, both ways, with pydicom as second opinion."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydicom import charset as oracle
from pydicom import dcmread
from pydicom.data import get_charset_files

from gateway.dataset import charset, code_extensions

CHARSET_FILES = [Path(name) for name in get_charset_files("*.dcm") if "PatientName" in dcmread(name)]

LATIN = {
    "100": ("iso8859_1", b"-A", "äÿ"),
    "101": ("iso8859_2", b"-B", "łś"),
    "109": ("iso8859_3", b"-C", "ħĝ"),
    "110": ("iso8859_4", b"-D", "āŋ"),
    "144": ("iso8859_5", b"-L", "Люк"),
    "127": ("iso8859_6", b"-G", "قبا"),
    "126": ("iso8859_7", b"-F", "Διο"),
    "138": ("iso8859_8", b"-H", "שרו"),
    "148": ("iso8859_9", b"-M", "ğş"),
    "203": ("iso8859_15", b"-b", "œ€"),
    "166": ("tis_620", b"-T", "นาม"),
}
"""By number of the defined term: codec, end of the escape sequence (PS3.3 Tables C.12-2 and C.12-3), some letters."""

EXAMPLES = {
    "default": ((), b"Doe^John", "Doe^John"),
    "default, as ISO_IR 6": (("ISO_IR 6",), b"Doe^John", "Doe^John"),
    "latin-1": (("ISO_IR 100",), b"Buc^J\xe9r\xf4me", "Buc^Jérôme"),
    # PS3.5 Annex H
    "H.3.1": (
        ("", "ISO 2022 IR 87"),
        b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
        "Yamada^Tarou=山田^太郎=やまだ^たろう",
    ),
    "H.3.2": (
        ("ISO 2022 IR 13", "ISO 2022 IR 87"),
        b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J=\x1b$B$d$^$@\x1b(J^\x1b$B$?$m$&\x1b(J",
        "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
    ),
    # PS3.5 Annex I
    "I.2": (
        ("", "ISO 2022 IR 149"),
        b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
        "Hong^Gildong=洪^吉洞=홍^길동",
    ),
    "I.3": (("", "ISO 2022 IR 149"), b"\x1b$)C\xb1\xe8\xc8\xf1\xc1\xdf\r\n\x1b$)C\xb1\xe8 OK", "김희중\r\n김 OK"),
    # PS3.5 Annex J
    "J.1": (("ISO_IR 192",), "Wang^XiaoDong=王^小東=".encode(), "Wang^XiaoDong=王^小東="),
    "J.3": (("GB18030",), b"Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab=", "Wang^XiaoDong=王^小东="),
    "J.GBK": (("GBK",), b"Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab=", "Wang^XiaoDong=王^小东="),
    # PS3.5 Annex K
    "K.2": (
        ("", "ISO 2022 IR 58"),
        b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab=",
        "Zhang^XiaoDong=张^小东=",
    ),
    "K.3": (
        ("", "ISO 2022 IR 58"),
        b"1.\x1b$)A\xb5\xda\xd2\xbb\xd0\xd0\r\n2.\x1b$)A\xb5\xda\xb6\xfe\r\n",
        "1.第一行\r\n2.第二\r\n",
    ),
    "IR 159": (("", "ISO 2022 IR 87", "ISO 2022 IR 159"), b"\x1b$BB@\x1b$(D0!\x1b(B", "太丂"),
    "two backslash bytes in a trail": (("GB18030",), "誠\\乗".encode("gb18030"), "誠\\乗"),
    "half-width": (("ISO_IR 13",), b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3", "ﾔﾏﾀﾞ^ﾀﾛｳ"),
    **{f"ISO_IR {number}": ((f"ISO_IR {number}",), x.encode(codec), x) for number, (codec, _, x) in LATIN.items()},
    **{
        f"ISO 2022 IR {number}": (
            ("ISO 2022 IR 6", f"ISO 2022 IR {number}"),
            b"A^B=\x1b" + escape + x.encode(codec),
            f"A^B={x}",
        )
        for number, (codec, escape, x) in LATIN.items()
    },
    "three sets": (
        ("ISO 2022 IR 100", "ISO 2022 IR 144", "ISO 2022 IR 87"),
        b"\xfc\x1b-L\xbb\x1b$B;3\x1b-A\xfc\x1b(B^\xfc",
        "üЛ山ü^ü",
    ),
}

LENIENT = {
    "first value forgotten": (("ISO 2022 IR 149",), b"A=\x1b$)C\xfb\xf3^\xd1\xce", "A=洪^吉"),
    "escape sequence forgotten after a delimiter": (("", "ISO 2022 IR 149"), b"A=\x1b$)C\xfb\xf3^\xd1\xce", "A=洪^吉"),
    "escape sequence forgotten at all": (("", "ISO 2022 IR 58"), b"A=\xd5\xc5^\xd0\xa1", "A=张^小"),
    "way back forgotten": (("", "ISO 2022 IR 87"), b"A=\x1b$B;3ED^\x1b$BB@O:", "A=山田^太郎"),
    "Latin-1 declared second only": (("", "ISO 2022 IR 100"), b"J\xf6rg", "Jörg"),
    "UTF-8 declared second": (("", "ISO_IR 192"), "Jörg".encode(), "Jörg"),
    "set not declared": (("ISO_IR 100",), b"M\xfcller=\x1b$B;3ED\x1b(B^\xfc", "Müller=山田^ü"),
    "set not declared, nor any": ((), b"A=\x1b$)A\xd5\xc5", "A=张"),
    "set not declared, in UTF-8": (
        ("ISO_IR 192",),
        "Müller^ü".encode() + b"=\x1b$B;3ED\x1b(B^" + "ü".encode(),
        "Müller^ü=山田^ü",
    ),
    "set not declared, in GB18030": (("GB18030",), b"A=\x1b$)A\xd5\xc5^\xd0\xa1", "A=张^小"),
    "without code extensions, used all the same": (("ISO_IR 13",), b"\xd4\xcf=\x1b$B;3ED\x1b(J", "ﾔﾏ=山田"),
    "mixed terms": (("ISO_IR 13", "ISO_IR 87"), b"\xd4\xcf=\x1b$B;3ED\x1b(J", "ﾔﾏ=山田"),
    "JIS C 6226": (("", "ISO 2022 IR 87"), b"\x1b$@;3ED\x1b(B", "山田"),
    "GB 2312 in G0": (("", "ISO 2022 IR 58"), b"\x1b$AUE\x1b(B", "张"),
    "katakana in G0": (("", "ISO 2022 IR 13"), b"\x1b(ITO\x1b(B^A", "ﾔﾏ^A"),
    "GBK in the name of IR 58": (("", "ISO 2022 IR 58"), b"\x1b$)A" + "镕基x".encode("gbk") + b"^y", "镕基x^y"),
    "CP949 in the name of IR 149": (("", "ISO 2022 IR 149"), b"\x1b$)C" + "펲똠a".encode("cp949") + b"^y", "펲똠a^y"),
    "Shift JIS in the name of IR 13": (("ISO_IR 13",), "山田".encode("shift_jis"), "山田"),
    "circled digit of vendors": (("", "ISO 2022 IR 87"), b"\x1b$B-!;3\x1b(B", "①山"),
    "no first term known": (("ISO_IR 999", "ISO 2022 IR 87"), b"\x1b$B;3\x1b(B", "山"),
    "unknown term": (("ISO_IR 999",), b"J\xf6rg", "Jörg"),
    "space in the middle": (("", "ISO 2022 IR 87"), b"\x1b$B;3 ED\x1b(B", "山 田"),
    "nothing declared": ((), b"J\xf6rg", "Jörg"),
}

UNDECODABLE = {
    "unknown escape sequence": ((), b"A\x1b)0B", "A\ufffdB"),
    "a bare escape": (("ISO_IR 100",), b"A\x1b", "A\ufffd"),
    "half a character": (("", "ISO 2022 IR 87"), b"\x1b$B;3E\x1b(B", "山\ufffd"),
    "no such character": (("", "ISO 2022 IR 58"), b"\x1b$)A\xff\xff^A", "\ufffd\ufffd^A"),
    "no UTF-8": (("ISO_IR 192",), b"M\xfcller", "M\ufffdller"),
}


@pytest.mark.parametrize(
    ("names", "raw", "text"),
    [*EXAMPLES.values(), *LENIENT.values(), *UNDECODABLE.values()],
    ids=[*EXAMPLES, *LENIENT, *UNDECODABLE],
)
def test_what_is_read(names: tuple[str, ...], raw: bytes, text: str) -> None:
    assert charset.decode(raw, charset.encodings(names), is_name=True) == text


@pytest.mark.parametrize(("names", "raw", "text"), EXAMPLES.values(), ids=EXAMPLES)
def test_what_the_standard_shows_is_written_so(names: tuple[str, ...], raw: bytes, text: str) -> None:
    assert charset.encode(text, charset.encodings(names), is_name=True) == raw


TERMS = {
    "ISO_IR 100": ("ISO-IR 100", "ISO IR 100", "ISO_IR_100", "ISO_IR100", "iso_ir 100", "ISOIR100", " ISO_IR 100\0"),
    "ISO 2022 IR 87": (
        "ISO 2022-IR 87",
        "ISO2022 IR 87",
        "ISO 2022 IR87",
        "ISO_2022_IR_87",
        "ISO_IR 87",
        "ISO 2022 87",
    ),
    "ISO_IR 192": ("ISO IR 192", "UTF-8", "utf8", "ISO 2022 IR 192"),
    "ISO_IR 144": ("ISO 8859-5", "ISO_8859-5", "ISO IR 144"),
    "GB18030": ("GB 18030", "gb18030"),
    "ISO 2022 IR 58": ("ISO 2022 58", "GB2312"),
}


@pytest.mark.parametrize("term", TERMS)
def test_misspelt_terms_are_known(term: str) -> None:
    expected = charset.encodings((term,))
    assert expected != charset.DEFAULT
    assert {name: charset.encodings((name,)) for name in TERMS[term]} == dict.fromkeys(TERMS[term], expected)
    assert charset.unknown(TERMS[term]) == ""
    assert charset.unknown((term, "ISO_IR 999")) == "ISO_IR 999"


def test_a_backslash_in_a_single_value_changes_nothing() -> None:
    codecs, raw = charset.encodings(("ISO 2022 IR 6", "ISO 2022 IR 87")), b"\x1b-L\xbb\\\xbb"
    assert charset.decode(raw, codecs, is_multiple=False) == "Л\\Л"


@pytest.mark.parametrize("name", sorted(path.name for path in CHARSET_FILES))
def test_pydicoms_files(name: str) -> None:
    dataset = dcmread(next(path for path in CHARSET_FILES if path.name == name), defer_size=1024)
    raw = dataset.get_item("PatientName").value
    declared = dataset.get("SpecificCharacterSet") or ()
    names = (declared,) if isinstance(declared, str) else tuple(declared)
    found = charset.decode(
        raw.original_string if hasattr(raw, "original_string") else raw, charset.encodings(names), is_name=True
    )
    assert found.rstrip(" =") == str(dataset.PatientName).rstrip(" =")
    assert charset.UNDECODABLE not in found


SETS = [
    ("ISO_IR 100",),
    ("ISO_IR 144",),
    ("ISO_IR 192",),
    ("GB18030",),
    ("", "ISO 2022 IR 87"),
    ("", "ISO 2022 IR 149"),
    ("ISO 2022 IR 100", "ISO 2022 IR 144"),
    ("", "ISO 2022 IR 58"),
    ("ISO 2022 IR 13", "ISO 2022 IR 87"),
]
CHARACTERS = "AZaz ^=.-üßéЖя山田太郎洪홍길동王やま"


@pytest.mark.parametrize("names", SETS, ids=["+".join(names) for names in SETS])
@given(text=st.text(CHARACTERS, max_size=12))
def test_what_can_be_written_is_read_back(names: tuple[str, ...], text: str) -> None:
    codecs = charset.encodings(names)
    try:
        raw = charset.encode(text, codecs, is_name=True)
    except UnicodeError:
        assert not text.isascii()
        return
    assert charset.decode(raw, codecs, is_name=True) == text
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encodings = oracle.convert_encodings(list(names))
        second_opinion = oracle.decode_bytes(raw, encodings, set(b"\r\n\t\f\\^="))
    assert second_opinion.replace("\x1b$)A", "") == text  # pydicom leaves this escape sequence in the text


@given(names=st.sampled_from([*SETS, (), ("GBK",), ("ISO_IR 999",)]), raw=st.binary(max_size=40), is_name=st.booleans())
@example(names=("", "ISO 2022 IR 58"), raw=b"\x1b$)A\xff", is_name=True)
def test_no_bytes_raise_or_leave_an_escape_character(names: tuple[str, ...], raw: bytes, is_name: bool) -> None:
    codecs = charset.encodings(names)
    raw = raw.replace(b"\x01", b"\x1b$)A").replace(b"\x02", b"\x1b$B").replace(b"\x03", b"\x1b(")
    text = charset.decode(raw, codecs, is_name=is_name)
    assert "\x1b" not in text
    if charset.UNDECODABLE not in text:
        assert (
            charset.decode(charset.encode(text, charset.encodings(("ISO_IR 192",))), charset.encodings(("ISO_IR 192",)))
            == text
        )


def test_the_larger_repertoire_is_tried_once_for_a_component(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = b"\x1b$)A" + b"\xff\xffa" * 20_000
    tried: list[int] = []
    strictly = code_extensions._strictly

    def counted(run: bytes, codec: str) -> str | None:
        tried.append(len(run))
        return strictly(run, codec)

    monkeypatch.setattr(code_extensions, "_strictly", counted)
    charset.decode(raw, charset.encodings(("", "ISO 2022 IR 58")), is_name=True)
    assert 0 < sum(tried) < 4 * len(raw)


def test_a_letter_is_never_replaced() -> None:
    with pytest.raises(UnicodeError):
        charset.encode("Müller", charset.encodings(()))
    with pytest.raises(UnicodeError):
        charset.encode("山田", charset.encodings(("ISO_IR 100",)))
    with pytest.raises(UnicodeError):
        charset.encode("Müller", charset.encodings(("", "ISO 2022 IR 87")))
    with pytest.raises(UnicodeError):
        charset.encode("山田", charset.encodings(("ISO_IR 13",)))
    with pytest.raises(UnicodeError):
        charset.encode("\x1b$B;3ED", charset.encodings(("ISO_IR 100",)))
