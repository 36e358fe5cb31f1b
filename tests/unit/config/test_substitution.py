"""``${…}`` in scalars."""

from pathlib import Path

import pytest

from gateway.config.findings import Findings
from gateway.config.parse import parse
from gateway.config.substitution import SubstitutionError, substitute
from gateway.config.tree import plain

ENVIRON = {"AE": "PACS", "PORT": "104", "EMPTY": "", "TAG": "00100010", "ODD": "a${AE}b"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_text("pass word\n")
    (tmp_path / "key.pem").write_text("-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----\n\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "large").write_bytes(b"x" * (1024 * 1024 + 1))
    return tmp_path


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("plain", "plain"),
        ("${AE}", "PACS"),
        ("a-${AE}-${PORT}", "a-PACS-104"),
        ("${NONE:-value}", "value"),
        ("${NONE:-}", ""),
        ("${EMPTY:-value}", "value"),
        ("${EMPTY}", ""),
        ("${AE:-value}", "PACS"),
        ("${NONE:-a:-b}", "a:-b"),
        ("$${AE}", "${AE}"),
        ("$$${AE}", "$${AE}"),
        ("$AE", "$AE"),
        ("{{ PatientID }}", "{{ PatientID }}"),
        ("${ODD}", "a${AE}b"),
        ("${file:secret}", "pass word"),
        ("x${file:secret}y", "xpass wordy"),
        ("${file:key.pem}", "-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----"),
    ],
)
def test_references(text: str, value: str, folder: Path) -> None:
    assert substitute(text, ENVIRON, folder).text == value


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("${NONE}", "missing-variable"),
        ("${}", "bad-substitution"),
        ("${A B}", "bad-substitution"),
        ("${AE-x}", "bad-substitution"),
        ("${AE", "bad-substitution"),
        ("${file:nowhere}", "unreadable-file"),
        ("${file:.}", "unreadable-file"),
        ("${file:a\0b}", "unreadable-file"),
        ("${file:binary}", "unreadable-file"),
        ("${file:large}", "unreadable-file"),
    ],
)
def test_references_that_cannot_be_resolved(text: str, code: str, folder: Path) -> None:
    with pytest.raises(SubstitutionError) as caught:
        substitute(text, ENVIRON, folder)

    assert caught.value.code == code


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: ${PORT}", 104),
        ('a: "${PORT}"', 104),
        ("a: ${NONE:-false}", False),
        ("a: ${TAG}", "00100010"),
        ("a: ${AE}", "PACS"),
        ('a: "${PORT}0"', "1040"),
        ("a: ${PORT}0", 1040),
        ("a: '$${PORT}'", "${PORT}"),
        ("a: ${EMPTY}", None),
    ],
)
def test_what_comes_in_is_resolved_like_any_scalar(text: str, value: object, folder: Path) -> None:
    findings = Findings()
    node = parse(text.encode(), folder / "a.yaml", "a.yaml", ENVIRON, findings)

    assert findings.sorted() == ()
    assert node is not None
    assert plain(node) == {"a": value}


def test_a_secret_does_not_show_in_what_is_printed(folder: Path) -> None:
    findings = Findings()
    node = parse(b"a: ${file:secret}", folder / "a.yaml", "a.yaml", ENVIRON, findings)

    assert "pass word" not in repr(node)
    assert "pass word" not in repr(substitute("${file:secret}", ENVIRON, folder))
