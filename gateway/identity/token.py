"""JSON Web Tokens (RFC 7519, RFC 8725): signature, issuer, audience, expiry, by keys in files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.identity.values import NotVerified, OfferedIdentity, VerifiedIdentity
from gateway.identity.watched_file import WatchedFile
from gateway.model.security import TokenKeys

KEY_TYPES = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP", "HS": "oct"}
"""The first letters of an algorithm → the type of its keys (RFC 7518 §3.1): a public key never passes for a secret."""
LEAST_RSA_BITS, LEAST_SECRET_BYTES = 2048, 32
PEM = re.compile(rb"-----BEGIN [A-Z ]+-----.*?-----END [A-Z ]+-----", re.DOTALL)
MOST_USER_CHARACTERS = 256


@dataclass(frozen=True, slots=True)
class TokenKey:
    """One key of an issuer."""

    key_type: str
    """RSA, EC, OKP or oct."""
    material: Any = field(repr=False)
    key_id: str = ""
    algorithm: str = ""
    """The only one that it is for; empty: any of its type."""


def parse_keys(content: bytes) -> tuple[TokenKey, ...]:
    """The keys of a JWKS (RFC 7517), of one JWK, or of PEM public keys and certificates.

    Raises:
        ValueError: none of these, or no key in it that can be used; the message holds nothing of the content.
    """
    keys = tuple(_pem_keys(content) if content.lstrip().startswith(b"-----BEGIN") else _json_keys(content))
    if not keys:
        raise ValueError("it holds no key for signatures")
    return keys


def _json_keys(content: bytes) -> Iterable[TokenKey]:
    import jwt

    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        raise ValueError("it is neither JSON (a JWKS) nor PEM") from None
    if not isinstance(found, dict):
        raise ValueError("it is no JWKS: an object with `keys`")
    entries = found.get("keys", [found])
    for number, entry in enumerate(entries if isinstance(entries, list) else [entries], 1):
        if not isinstance(entry, dict) or entry.get("use", "sig") != "sig":
            continue
        if "verify" not in entry.get("key_ops", ["verify"]):
            continue
        try:
            key = jwt.PyJWK(entry)
        except (jwt.PyJWTError, ValueError, TypeError, KeyError):
            continue  # of a type that this version does not know (RFC 7517 §5)
        _check_strength(key.key, f"key {number}")
        yield TokenKey(str(key.key_type), key.key, str(key.key_id or ""), str(entry.get("alg", "")))


def _pem_keys(content: bytes) -> Iterable[TokenKey]:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    for block in PEM.findall(content):
        try:
            if b"BEGIN CERTIFICATE" in block:
                material: Any = x509.load_pem_x509_certificate(block).public_key()
            else:
                material = load_pem_public_key(block)
        except ValueError:
            raise ValueError("a PEM block in it is neither a public key nor a certificate") from None
        _check_strength(material, "a key")
        yield TokenKey(_key_type(material), material)


def _key_type(material: object) -> str:
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    if isinstance(material, rsa.RSAPublicKey):
        return "RSA"
    return "EC" if isinstance(material, ec.EllipticCurvePublicKey) else "OKP"


def _check_strength(material: Any, which: str) -> None:
    from cryptography.hazmat.primitives.asymmetric import rsa

    if isinstance(material, rsa.RSAPublicKey) and material.key_size < LEAST_RSA_BITS:
        raise ValueError(f"{which} has {material.key_size} bits; at least {LEAST_RSA_BITS} are needed")
    if isinstance(material, bytes) and len(material) < LEAST_SECRET_BYTES:
        raise ValueError(f"{which} is a secret of {len(material)} bytes; at least {LEAST_SECRET_BYTES} are needed")


class TokenVerifier:
    """Reads its key files again when they change: for threads."""

    def __init__(self, settings: TokenKeys) -> None:
        self._settings = settings
        self._files = [WatchedFile(path, parse_keys) for path in settings.paths]

    def verify(self, offered: OfferedIdentity) -> VerifiedIdentity:
        """Raises NotVerified, NotVerifiable."""
        keys = [key for file in self._files for key in file.value()]
        claims = self._claims(offered.primary, keys)
        user = claims.get(self._settings.user_claim)
        if not isinstance(user, str) or not 0 < len(user) <= MOST_USER_CHARACTERS:
            raise NotVerified(f"the token has no claim `{self._settings.user_claim}` with a name")
        return VerifiedIdentity(user)

    def _claims(self, token: bytes, keys: Sequence[TokenKey]) -> dict[str, Any]:
        import jwt

        try:
            header = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, ValueError, RecursionError):
            raise NotVerified("not a signed JSON Web Token") from None
        algorithm = header.get("alg")
        if algorithm not in self._settings.algorithms:
            raise NotVerified("the token is signed with an algorithm that is not in `algorithms`")
        for key in keys:
            if not _fits(key, algorithm, header.get("kid")):
                continue
            try:
                return self._decoded(token, key, algorithm)
            except jwt.InvalidSignatureError:
                continue
            except (jwt.PyJWTError, ValueError, RecursionError) as error:
                raise NotVerified(_in_words(error)) from None
        raise NotVerified("the token is not signed by a key that is known here")

    def _decoded(self, token: bytes, key: TokenKey, algorithm: str) -> dict[str, Any]:
        import jwt

        settings = self._settings
        return jwt.decode(
            token,
            key.material,
            algorithms=[algorithm],
            audience=list(settings.audiences),
            issuer=settings.issuer,
            leeway=settings.leeway_s,
            options={"require": ["exp", "iss", "aud"]},
        )


def _fits(key: TokenKey, algorithm: str, key_id: object) -> bool:
    if key.key_type != KEY_TYPES[algorithm[:2]] or key.algorithm not in ("", algorithm):
        return False
    return not key.key_id or key_id is None or key.key_id == key_id


def _in_words(error: Exception) -> str:
    """The reason in our words: the library's may quote the token."""
    import jwt

    reasons = {
        jwt.ExpiredSignatureError: "the token has expired",
        jwt.ImmatureSignatureError: "the token is not valid yet",
        jwt.InvalidAudienceError: "the token is for another audience",
        jwt.InvalidIssuerError: "the token is of another issuer",
        jwt.MissingRequiredClaimError: "the token lacks expiry, issuer or audience",
    }
    return next((text for kind, text in reasons.items() if isinstance(error, kind)), "the token cannot be used")
