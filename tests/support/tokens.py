"""Keys and JSON Web Tokens for tests."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

ISSUER, AUDIENCE = "https://idp.example.org", "gateway"


@dataclass(frozen=True)
class Issuer:
    """Signs tokens with one key."""

    private: Any
    algorithm: str
    key_id: str = ""

    @classmethod
    def of(cls, algorithm: str, key_id: str = "") -> Issuer:
        if algorithm[:2] in ("RS", "PS"):
            return cls(rsa.generate_private_key(65537, 2048), algorithm, key_id)
        if algorithm == "ES256":
            return cls(ec.generate_private_key(ec.SECP256R1()), algorithm, key_id)
        return cls(ed25519.Ed25519PrivateKey.generate(), algorithm, key_id)

    def sign(self, *, header: dict[str, Any] | None = None, drop: tuple[str, ...] = (), **claims: Any) -> bytes:
        """A token that is good unless `claims` say otherwise."""
        whole = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "exp": time.time() + 600, **claims}
        kept = {name: value for name, value in whole.items() if name not in drop}
        more = {"kid": self.key_id} if self.key_id else {}
        return jwt.encode(kept, self.private, self.algorithm, headers={**more, **(header or {})}).encode()

    @property
    def jwk(self) -> dict[str, Any]:
        """The public key."""
        public = self.private.public_key()
        kinds = {"RS": RSAAlgorithm, "PS": RSAAlgorithm, "ES": ECAlgorithm, "Ed": OKPAlgorithm}
        found: dict[str, Any] = kinds[self.algorithm[:2]].to_jwk(public, as_dict=True)  # type: ignore[attr-defined]
        return {**found, **({"kid": self.key_id} if self.key_id else {})}

    @property
    def pem(self) -> bytes:
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        encoded: bytes = self.private.public_key().public_bytes(serialization.Encoding.PEM, form)
        return encoded


def write_jwks(path: Path, *issuers: Issuer) -> str:
    path.write_text(json.dumps({"keys": [issuer.jwk for issuer in issuers]}))
    return str(path)
