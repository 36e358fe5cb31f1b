"""Password files: entries, what is refused, and that they are read again."""

from __future__ import annotations

from pathlib import Path

import pytest
from argon2 import PasswordHasher
from argon2.low_level import Type

from gateway.identity import password_file
from gateway.identity.password_file import PasswordFileVerifier, entry, parse
from gateway.identity.values import NotVerifiable, NotVerified, OfferedIdentity
from tests.support.passwords import password_line


def offered(user: str, passcode: str | bytes) -> OfferedIdentity:
    secret = passcode if isinstance(passcode, bytes) else passcode.encode()
    return OfferedIdentity("username_passcode", user.encode(), secret)


def test_an_entry_is_verified(tmp_path: Path) -> None:
    path = tmp_path / "passwords"
    path.write_text(f"# staff\n\n{entry('Jürgen:1', 'geheim ☃')}\n")
    verifier = PasswordFileVerifier(str(path))
    assert verifier.verify(offered("Jürgen:1", "geheim ☃")).user == "Jürgen:1"
    assert "$argon2id$v=19$m=65536,t=3,p=1$" in path.read_text()
    assert "geheim" not in path.read_text()


REFUSED = {
    "wrong passcode": ("alice", "Secret", "unknown user or wrong passcode"),
    "no passcode": ("alice", "", "unknown user or wrong passcode"),
    "passcode of another": ("alice", "hidden", "unknown user or wrong passcode"),
    "unknown user": ("carol", "secret", "unknown user or wrong passcode"),
    "user in capitals": ("ALICE", "secret", "unknown user or wrong passcode"),
    "no user": ("", "secret", "unknown user or wrong passcode"),
    "the hash": ("alice", "$argon2id$", "unknown user or wrong passcode"),
    "no UTF-8": ("alice", b"\xff\xfe", "unknown user or wrong passcode"),
    "endless": ("alice", "secret" * 1000, "too long"),
}


@pytest.mark.parametrize(("user", "passcode", "why"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(tmp_path: Path, user: str, passcode: str | bytes, why: str) -> None:
    path = tmp_path / "passwords"
    path.write_text(password_line("alice", "secret") + password_line("bob", "hidden"))
    with pytest.raises(NotVerified, match=why):
        PasswordFileVerifier(str(path)).verify(offered(user, passcode))


def test_an_unknown_user_takes_a_hash_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the time of the answer tells which names exist."""
    path = tmp_path / "passwords"
    path.write_text(password_line("alice", "secret"))
    hashed: list[str] = []

    class Counting:
        def verify(self, text: str, passcode: bytes) -> bool:
            hashed.append(text)
            return PasswordHasher().verify(text, passcode)

    monkeypatch.setattr(password_file, "_hasher", Counting)
    for user in ("alice", "nobody"):
        with pytest.raises(NotVerified):
            PasswordFileVerifier(str(path)).verify(offered(user, "wrong"))
    assert len(hashed) == 2


def test_the_file_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "passwords"
    path.write_text(password_line("alice", "secret"))
    verifier = PasswordFileVerifier(str(path))
    assert verifier.verify(offered("alice", "secret")).user == "alice"
    path.write_text(password_line("alice", "changed") + password_line("bob", "hidden"))
    assert verifier.verify(offered("bob", "hidden")).user == "bob"
    with pytest.raises(NotVerified):
        verifier.verify(offered("alice", "secret"))
    path.write_text(password_line("alice", "changed") + "bob:half-writ")
    assert verifier.verify(offered("bob", "hidden")).user == "bob"  # the former content stays
    path.unlink()
    with pytest.raises(NotVerifiable, match="cannot read"):
        verifier.verify(offered("bob", "hidden"))


def test_a_file_that_was_never_good(tmp_path: Path) -> None:
    path = tmp_path / "passwords"
    path.write_text("alice:secret\n")
    with pytest.raises(NotVerifiable, match="cannot be used"):
        PasswordFileVerifier(str(path)).verify(offered("alice", "secret"))


def test_what_was_right_is_remembered_for_a_while(tmp_path: Path) -> None:
    path, now = tmp_path / "passwords", [0.0]
    path.write_text(password_line("alice", "secret"))
    verifier = PasswordFileVerifier(str(path), lambda: now[0])
    good = offered("alice", "secret")
    assert verifier.remembered(good) is None
    verifier.verify(good)
    with pytest.raises(NotVerified):
        verifier.verify(offered("alice", "wrong"))
    assert verifier.remembered(good) is not None
    for other in (offered("alice", "wrong"), offered("bob", "secret"), offered("alices", "ecret")):
        assert verifier.remembered(other) is None
    now[0] = 301.0
    assert verifier.remembered(good) is None
    verifier.verify(good)
    path.write_text(
        password_line("alice", "secret")
    )  # the same passcode with another salt: an operator touched the entry
    assert verifier.remembered(good) is None
    verifier.verify(good)
    path.write_text(password_line("bob", "hidden"))
    assert verifier.remembered(good) is None


BAD_FILES = {
    "no hash": ("alice\n", "line 1 is not"),
    "a passcode": ("# a\nalice:secret\n", "line 2 is not"),
    "another hash": (f"alice:{PasswordHasher(1, 64, 1, type=Type.I).hash('x')}\n", "line 1 is not"),
    "no user": (f":{PasswordHasher(1, 64, 1).hash('x')}\n", "line 1: the user name is empty"),
    "twice": (password_line("alice", "x") + password_line("alice", "y"), "line 2 names a user"),
}


@pytest.mark.parametrize(("text", "why"), BAD_FILES.values(), ids=BAD_FILES.keys())
def test_bad_files(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as caught:
        parse(text.encode())
    assert "secret" not in str(caught.value)


NOT_MADE = [("", "x"), ("#a", "x"), ("a\nb", "x"), (" a", "x"), ("a", ""), ("a", "x" * 2000)]


@pytest.mark.parametrize(("user", "passcode"), NOT_MADE)
def test_entries_that_are_not_made(user: str, passcode: str) -> None:
    with pytest.raises(ValueError, match=r"user name|passcode"):
        entry(user, passcode)
