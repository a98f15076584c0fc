"""A token may say where its key is found, or bring it along: nobody looks or believes it."""

from __future__ import annotations

from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from api.http.auth import TokenRefused, Verifier
from domain.limits import request_limits
from runtime.settings import Settings
from tests.security.test_tokens import KEY, claims
from tests.support.http_server import HttpServer, answer, http_server

OURS = rsa.generate_private_key(public_exponent=65537, key_size=2048)
THEIRS = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PUBLIC = OURS.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)
WEAK = "w" * request_limits.JWT_SECRET_BYTES_MIN
KEY_IDS = ["../../dev/null", "/dev/null", "1' OR '1'='1", "1\x00", "", " 1", "01", "1" * 10_000]


def offers(server: HttpServer) -> list[dict[str, Any]]:
    """Headers by which a token offers the keys of whoever made it."""
    theirs = jwt.get_algorithm_by_name("RS256").to_jwk(THEIRS.public_key(), as_dict=True)
    weak = jwt.get_algorithm_by_name("HS256").to_jwk(WEAK, as_dict=True)
    address = server.url("/keys")
    return [
        *({"jku": address}, {"x5u": address}, {"kid": address}),
        *({"jwk": theirs}, {"jwk": weak}, {"x5c": ["MIIB"]}),
        {"kid": "1", "jku": address, "x5u": address, "jwk": theirs},
    ]


@pytest.mark.parametrize(
    "settings",
    [
        Settings(jwt_verify_key=KEY),
        Settings(jwt_verify_key=KEY, jwt_key_id="1"),
        Settings(jwt_algorithm="RS256", jwt_verify_key=PUBLIC.decode()),
        Settings(jwt_algorithm="RS256", jwt_verify_key=PUBLIC.decode(), jwt_key_id="1"),
    ],
)
@pytest.mark.holds("S05")
async def test_a_token_does_not_bring_its_own_key(settings: Settings) -> None:
    verifier = Verifier(settings)
    async with http_server({"/keys": lambda _: answer(200, b'{"keys": []}')}) as server:
        for header in offers(server):
            for key, algorithm in ((THEIRS, "RS256"), (WEAK, "HS256")):
                token = jwt.encode(claims(), key, algorithm, headers=header)
                with pytest.raises(TokenRefused):
                    verifier.verify(token)
        assert server.connections == 0


@pytest.mark.parametrize("key_id", KEY_IDS)
@pytest.mark.holds("S05")
def test_a_key_that_is_called_otherwise_is_not_ours(key_id: str) -> None:
    verifier = Verifier(Settings(jwt_verify_key=KEY, jwt_key_id="1"))
    with pytest.raises(TokenRefused, match="its key is not known"):
        verifier.verify(jwt.encode(claims(), KEY, headers={"kid": key_id}))
