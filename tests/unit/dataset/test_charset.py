"""Specific Character Set, both ways, with pydicom as second opinion."""

from __future__ import annotations

import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import charset as oracle

from gateway.dataset import charset

EXAMPLES = {
    "default": ((), b"Doe^John", "Doe^John"),
    "latin-1": (("ISO_IR 100",), b"Buc^J\xe9r\xf4me", "Buc^Jérôme"),
    "utf-8": (("ISO_IR 192",), "王^小東".encode(), "王^小東"),
    "gbk-with-backslash-byte": (("GB18030",), "誠".encode("gb18030"), "誠"),
    "half-width": (("ISO_IR 13",), b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3", "ﾔﾏﾀﾞ^ﾀﾛｳ"),
    "japanese": (
        ("", "ISO 2022 IR 87"),
        b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B",
        "Yamada^Tarou=山田^太郎",
    ),
    "korean": (
        ("", "ISO 2022 IR 149"),
        b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7",
        "Hong^Gildong=洪^吉洞",
    ),
    "misspelt-name": (("ISO IR 100",), b"J\xf6rg", "Jörg"),
    "unknown-name": (("ISO_IR 999",), b"J\xf6rg", "Jörg"),
}


@pytest.mark.parametrize(("names", "raw", "text"), EXAMPLES.values(), ids=EXAMPLES)
def test_examples_of_the_standard(names: tuple[str, ...], raw: bytes, text: str) -> None:
    assert charset.decode(raw, charset.encodings(names), is_name=True) == text


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
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            raw = charset.encode(text, codecs, is_name=True)
        except UnicodeError:
            assert not text.isascii()
            return
        assert charset.decode(raw, codecs, is_name=True) == text
        assert oracle.decode_bytes(raw, list(codecs), set(b"\r\n\t\f\\^=")) == text


def test_a_letter_is_never_replaced() -> None:
    with pytest.raises(UnicodeError):
        charset.encode("Müller", charset.encodings(()))
    with pytest.raises(UnicodeError):
        charset.encode("山田", charset.encodings(("ISO_IR 100",)))
    with pytest.raises(UnicodeError):
        charset.encode("Müller", charset.encodings(("", "ISO 2022 IR 87")))
