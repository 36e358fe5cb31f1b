"""Keys and tables: what is read, what is refused with its place, and that nothing of it is shown."""

from __future__ import annotations

import gc
import hmac
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.ports.errors import ConfigurationError
from gateway.routing.language.fields import SecretKey, TableFile
from gateway.routing.language.kinds import build_actions
from gateway.routing.language.resources import TABLE_LIMIT_BYTES, FileResources
from gateway.routing.language.stored_actions import actions_from_json, canonical_json

SECRET = b"a secret of enough characters"

TABLES: dict[str, tuple[str, bytes, Mapping[str, str]]] = {
    "two-columns": ("map.csv", b"a,1\nb,2\n", {"a": "1", "b": "2"}),
    "one-column": ("list.csv", b"a\nb\n", {"a": "", "b": ""}),
    "tabs": ("map.tsv", b"a\t1,5\n", {"a": "1,5"}),
    "text": ("list.txt", b"a,1\nb\n", {"a,1": "", "b": ""}),
    "no-suffix": ("list", b"a", {"a": ""}),
    "header-is-a-comment": ("map.csv", b"#from,to\na,1\n# more\nb,2\n", {"a": "1", "b": "2"}),
    "spaces-and-empty-lines": ("map.csv", b"\r\n a , 1 \r\n\r\n", {"a": "1"}),
    "quotes": ("map.csv", b'"a, b","say ""x"""\n', {"a, b": 'say "x"'}),
    "byte-order-mark": ("map.csv", b"\xef\xbb\xbfa,1\n", {"a": "1"}),
    "letters": ("map.csv", "Müller,Ω\n".encode(), {"Müller": "Ω"}),
    "empty-value": ("map.csv", b"a,\n", {"a": ""}),
    "the-same-twice": ("map.csv", b"a,1\na,1\n", {"a": "1"}),
}


@pytest.mark.parametrize(("name", "content", "rows"), TABLES.values(), ids=TABLES)
def test_tables(name: str, content: bytes, rows: Mapping[str, str], tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    assert FileResources().beside(tmp_path).table(name) == rows


BAD: dict[str, tuple[bytes, str]] = {
    "three-columns": (b"a,1\nSECRET,2,3\n", "line 2: 3 columns"),
    "mixed": (b"a,1\nSECRET\n", "line 2: 1 columns"),
    "two-values": (b"a,1\nb,2\na,SECRET\n", "line 3: what stands first is in line 1 with another value"),
    "not-utf-8": (b"a,1\nSECRET\xff,1\n", "not UTF-8 text .line 2."),
    "zero-bytes": (b"a,SECRET\0\n", "zero bytes"),
    "open-quote": (b'a,"SECRET\n', "line 1"),
    "empty": (b"#SECRET\n\n", "holds no rows"),
    "too-large": (b"SECRET," + b"x" * TABLE_LIMIT_BYTES, "larger than 16 MiB"),
}


@pytest.mark.parametrize(("content", "message"), BAD.values(), ids=BAD)
def test_what_is_wrong_with_a_table_is_said_without_quoting_it(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "map.csv").write_bytes(content)
    with pytest.raises(ValueError, match=message) as raised:
        FileResources().beside(tmp_path).table("map.csv")
    assert "SECRET" not in str(raised.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    for name, message in (("map.csv", "No such file"), ("folder.csv", "not a regular file"), ("\0.csv", "cannot read")):
        with pytest.raises(ValueError, match=message):
            FileResources().beside(tmp_path).table(name)


def test_a_file_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "map.csv").write_text("a,1")
    resources = FileResources()
    rows = resources.beside(tmp_path).table("map.csv")
    (tmp_path / "map.csv").unlink()
    assert resources.beside(tmp_path).table("map.csv") is rows
    assert resources.table("map.csv") is rows


def test_one_name_is_one_file(tmp_path: Path) -> None:
    """Stored actions keep the name alone."""
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "map.csv").write_text("a,1")
    resources = FileResources()
    resources.beside(tmp_path / "a").table("map.csv")
    with pytest.raises(ValueError, match="give the files different names"):
        resources.beside(tmp_path / "b").table("map.csv")
    assert resources.beside(tmp_path).table("b/map.csv") == {"a": "1"}


def test_the_digest_follows_the_content(tmp_path: Path) -> None:
    digests = []
    for content in ("a,1", "a,2", "a,1"):
        (tmp_path / "map.csv").write_text(content)
        resources = FileResources()
        resources.beside(tmp_path).table("map.csv")
        digests.append(resources.digest())
    assert digests[0] == digests[2] != digests[1]
    assert FileResources().digest() == b""


def test_keys() -> None:
    resources = FileResources({"research": SECRET})
    assert resources.key("research") == SECRET
    with pytest.raises(ValueError, match=r"has no `reserch` \(did you mean `research`\?\)"):
        resources.key("reserch")


def test_nothing_secret_is_shown() -> None:
    key = SecretKey(SECRET)
    shown = f"{key} {key!r} {[key]} {TableFile({'Doe': 'x'})!r} {FileResources({'research': SECRET})!r}"
    assert "secret" not in shown
    assert "Doe" not in shown
    assert hmac.digest(key, b"x", "sha256") == hmac.digest(SECRET, b"x", "sha256")


# --- stored actions ---

MAP = [{"map": {"attributes": ["StudyDescription"], "table": "map.csv", "on_missing": "keep"}}]


@dataclass
class Problems:
    found: list[str]

    def __call__(self, path: object, code: str, message: str) -> None:
        self.found.append(f"{code}: {message}")


def test_settings_that_need_what_is_not_there() -> None:
    problems = Problems([])
    build_actions(MAP, problems, FileResources())
    assert problems.found == ["bad-file: cannot read the file 'map.csv': it is not there"]


def test_stored_actions_use_the_configuration_in_force(tmp_path: Path) -> None:
    text = canonical_json(MAP)
    resources = []
    for value in ("old", "new"):
        (tmp_path / "map.csv").write_text(f"head,{value}")
        one = FileResources(folders=[tmp_path])
        one.table("map.csv")
        resources.append(one)
        assert actions_from_json(text, one) is actions_from_json(text, one)
    assert actions_from_json(text, resources[0]) != actions_from_json(text, resources[1])


def test_stored_actions_whose_file_is_gone_are_not_understood(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"then\[0\]\.map\.table: bad-file: .*map.csv.*not there"):
        actions_from_json(canonical_json(MAP), FileResources(folders=[tmp_path]))
    (tmp_path / "map.csv").write_text("head,HEAD")
    assert actions_from_json(canonical_json(MAP), FileResources(folders=[tmp_path]))


def test_what_was_compiled_goes_with_its_configuration() -> None:
    resources = FileResources({"research": SECRET})
    actions_from_json(canonical_json([{"remove": "PatientID"}]), resources)
    gone = weakref.ref(resources)
    del resources
    gc.collect()
    assert gone() is None
