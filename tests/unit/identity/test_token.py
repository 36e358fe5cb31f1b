"""JSON Web Tokens: what is taken, and everything that is not (RFC 8725)."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from gateway.identity.token import TokenVerifier, parse_keys
from gateway.identity.values import NotVerifiable, NotVerified, OfferedIdentity
from gateway.model.security import TokenKeys
from tests.support.tokens import AUDIENCE, ISSUER, Issuer, write_jwks

ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA")


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    return Issuer.of("RS256", "one")


def verifier(*paths: str, **settings: Any) -> TokenVerifier:
    given = {"issuer": ISSUER, "audiences": (AUDIENCE, "other"), "algorithms": ALGORITHMS, **settings}
    return TokenVerifier(TokenKeys(paths=paths, **given))


def user_of(verify: TokenVerifier, token: bytes) -> str:
    return verify.verify(OfferedIdentity("jwt", token)).user


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("form", ["jwks", "one jwk", "pem"])
def test_every_algorithm_and_form_of_keys(tmp_path: Path, algorithm: str, form: str) -> None:
    one = Issuer.of(algorithm)
    path = tmp_path / "keys"
    path.write_bytes({"jwks": json.dumps({"keys": [one.jwk]}), "one jwk": json.dumps(one.jwk)}.get(form, "").encode())
    if form == "pem":
        path.write_bytes(one.pem)
    assert user_of(verifier(str(path)), one.sign()) == "alice"


def test_another_claim_names_the_user(tmp_path: Path, issuer: Issuer) -> None:
    verify = verifier(write_jwks(tmp_path / "keys", issuer), user_claim="preferred_username")
    assert user_of(verify, issuer.sign(preferred_username="bob")) == "bob"
    with pytest.raises(NotVerified, match="no claim `preferred_username`"):
        user_of(verify, issuer.sign())


def unsigned(**header: Any) -> bytes:
    parts = [{"alg": "none", "typ": "JWT", **header}, {"iss": ISSUER, "aud": AUDIENCE, "sub": "eve", "exp": 2**33}]
    return b".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in parts) + b"."


REFUSED: dict[str, tuple[Any, str]] = {
    "expired": (lambda one: one.sign(exp=time.time() - 60), "expired"),
    "not yet": (lambda one: one.sign(nbf=time.time() + 600), "not valid yet"),
    "another audience": (lambda one: one.sign(aud="pacs"), "another audience"),
    "another issuer": (lambda one: one.sign(iss="https://evil.example.org"), "another issuer"),
    "no expiry": (lambda one: one.sign(drop=("exp",)), "lacks expiry"),
    "no audience": (lambda one: one.sign(drop=("aud",)), "lacks expiry, issuer or audience|another audience"),
    "no issuer": (lambda one: one.sign(drop=("iss",)), "lacks expiry"),
    "no name": (lambda one: one.sign(drop=("sub",)), "no claim"),
    "empty name": (lambda one: one.sign(sub=""), "no claim"),
    "another key": (lambda one: Issuer.of("RS256", "one").sign(), "not signed by a key"),
    "another key id": (lambda one: one.sign(header={"kid": "two"}), "not signed by a key"),
    "no signature": (lambda one: unsigned(), "not in `algorithms`"),
    "no signature, but its key id": (lambda one: unsigned(kid="one"), "not in `algorithms`"),
    "a public key as a secret": (
        lambda one: jwt_hs256(one.pem),
        "not in `algorithms`",
    ),
    "an unlisted algorithm": (
        lambda one: Issuer(one.private, "RS512", "one").sign(),
        "not in `algorithms`",
    ),
    "signature of another token": (
        lambda one: one.sign(sub="eve").rpartition(b".")[0] + b"." + one.sign().rpartition(b".")[2],
        "not signed by a key",
    ),
    "text": (lambda one: b"Bearer", "not a signed"),
    "nothing": (lambda one: b"", "not a signed"),
    "bytes": (lambda one: bytes(range(256)), "not a signed"),
    "deep": (
        lambda one: base64.urlsafe_b64encode(b'{"alg":' + b"[" * 20_000 + b"]" * 20_000 + b"}") + b".e30.e30",
        "not a signed|not in `algorithms`",
    ),
}


def jwt_hs256(secret: bytes) -> bytes:
    """Signed by hand: the library refuses to take a public key for a secret."""
    import hashlib
    import hmac

    header = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT"}').rstrip(b"=")
    body = json.dumps({"iss": ISSUER, "aud": AUDIENCE, "sub": "eve", "exp": 2**33}).encode()
    signed = header + b"." + base64.urlsafe_b64encode(body).rstrip(b"=")
    return signed + b"." + base64.urlsafe_b64encode(hmac.digest(secret, signed, hashlib.sha256)).rstrip(b"=")


@pytest.mark.parametrize(("make", "why"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(tmp_path: Path, issuer: Issuer, make: Any, why: str) -> None:
    token = make(issuer)
    with pytest.raises(NotVerified, match=why) as caught:
        user_of(verifier(write_jwks(tmp_path / "keys", issuer)), token)
    assert not token or token.decode("latin-1") not in str(caught.value)


def test_a_public_key_is_no_secret_even_where_secrets_are_taken(tmp_path: Path, issuer: Issuer) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(issuer.pem)
    with pytest.raises(NotVerified, match="not signed by a key"):
        user_of(verifier(str(path), algorithms=("RS256", "HS256")), jwt_hs256(issuer.pem))


def test_a_secret_key(tmp_path: Path) -> None:
    secret = bytes(range(32))
    path = tmp_path / "keys"
    path.write_text(json.dumps({"kty": "oct", "k": base64.urlsafe_b64encode(secret).decode().rstrip("=")}))
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "exp": time.time() + 60}
    token = jwt.encode(claims, secret, "HS256").encode()
    assert user_of(verifier(str(path), algorithms=("HS256",)), token) == "alice"
    with pytest.raises(NotVerified, match="not in `algorithms`"):
        user_of(verifier(str(path)), token)


def test_keys_are_read_again(tmp_path: Path, issuer: Issuer) -> None:
    successor = Issuer.of("RS256", "two")
    path = tmp_path / "keys"
    verify = verifier(write_jwks(path, issuer))
    assert user_of(verify, issuer.sign()) == "alice"
    write_jwks(path, successor)
    assert user_of(verify, successor.sign()) == "alice"
    with pytest.raises(NotVerified):
        user_of(verify, issuer.sign())
    path.write_text('{"keys": [')  # half written: the former ones stay
    assert user_of(verify, successor.sign()) == "alice"
    path.unlink()
    with pytest.raises(NotVerifiable, match="cannot read"):
        user_of(verify, successor.sign())


def test_clocks_may_differ_by_the_leeway(tmp_path: Path, issuer: Issuer) -> None:
    path = write_jwks(tmp_path / "keys", issuer)
    token = issuer.sign(exp=time.time() - 300)
    assert user_of(verifier(path, leeway_s=1000.0), token) == "alice"
    with pytest.raises(NotVerified, match="expired"):
        user_of(verifier(path, leeway_s=30.0), token)


SHORT = rsa.generate_private_key(65537, 1024)
UNUSABLE: dict[str, tuple[bytes, str]] = {
    "no JSON": (b"keys", "neither JSON"),
    "a list": (b"[]", "no JWKS"),
    "no key": (b'{"keys": []}', "no key for signatures"),
    "an unknown type": (b'{"keys": [{"kty": "LWE", "n": "AQAB"}]}', "no key for signatures"),
    "for encryption": (b'{"keys": [{"kty": "oct", "k": "AAAA", "use": "enc"}]}', "no key for signatures"),
    "a short secret": (b'{"keys": [{"kty": "oct", "k": "AAAA"}]}', "secret of 3 bytes"),
    "a short key": (json.dumps(Issuer(SHORT, "RS256").jwk).encode(), "1024 bits"),
    "a private key": (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "neither a public key"),
}


@pytest.mark.parametrize(("content", "why"), UNUSABLE.values(), ids=UNUSABLE.keys())
def test_files_that_hold_no_keys(content: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_keys(content)


def test_keys_of_types_to_come_are_left_out(issuer: Issuer) -> None:
    assert len(parse_keys(json.dumps({"keys": [{"kty": "LWE"}, issuer.jwk, 5]}).encode())) == 1
