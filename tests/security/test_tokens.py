"""No route that is not public answers without a token that proves who is calling."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, NamedTuple

import httpx2
import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st

from api.app import create_app
from api.http.auth import TokenRefused, Verifier
from domain.limits import request_limits
from runtime import clock, ids
from runtime.secrets import jwt_key, sign_token
from runtime.settings import Settings
from tests.support.api import Platform, answered, eventually
from tests.support.routes import endpoints

KEY = "k" * request_limits.JWT_SECRET_BYTES_MIN
PUBLIC_PATHS = {
    "/health",
    "/health/live",
    "/health/ready",
    "/schema",
    "/schema/openapi.json",
    "/schema/swagger",
    "/schema/oauth2-redirect.html",
    "/schema/{path}",
    "/schema-assets/{file_path}",
}
SOMEWHERE = {
    "graph_id": "1",
    "graph_version": 1,
    "run_id": "1",
    "value_id": "1",
    "version": 1,
    "path": "x",
    "file_path": "x",
}


def claims(**changes: Any) -> dict[str, Any]:
    """Those of a good token. A change to None takes a claim away; a number is seconds from now."""
    now = clock.now()
    good = {
        "sub": str(ids.new_id()),
        "aud": "authenticated",
        "email": "user@example.com",
        "iat": 0,
        "exp": 3600,
    }
    return {
        name: now + timedelta(seconds=value) if isinstance(value, int | float) else value
        for name, value in {**good, **changes}.items()
        if value is not None
    }


def signed(key: str = "", algorithm: str = "HS256", **changes: Any) -> Callable[[str], str]:
    """A header with a token; the key is the installation's unless another is named."""
    return lambda own_key: (
        "Bearer " + jwt.encode(claims(**changes), key or own_key, algorithm=algorithm)
    )


def signed_as_is(**changes: Any) -> Callable[[str], str]:
    """The same, whose numbers are no times from now."""
    return lambda own_key: "Bearer " + jwt.encode({**claims(), **changes}, own_key)


def good_token() -> str:
    """A token of somebody new, signed with KEY."""
    return jwt.encode(claims(), KEY, algorithm="HS256")


def unsigned(**header: Any) -> Callable[[str], str]:
    """A header with a token that names its own algorithm and has an empty signature."""
    body = claims(iat=None, exp=None)
    parts = [_part(msgspec.json.encode(part)) for part in (header, body)]
    return lambda _: f"Bearer {'.'.join(parts)}."


def deep(_: str) -> str:
    body = _part(b'{"sub":' + b"[" * 8_000 + b"]" * 8_000 + b"}")
    return f"Bearer {_part(b'{}')}.{body}.x"


def _part(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


class Bad(NamedTuple):
    header: Callable[[str], str | None]
    message: str


INVALID = "Invalid token: "
NOT_ALLOWED = f"{INVALID}The specified alg value is not allowed"
AUDIENCE = f"{INVALID}Audience doesn't match (strict)"
STORED = "must not contain the character U+0000"
LATE = -request_limits.TOKEN_LEEWAY_SECONDS - 1

BAD = {
    "none": Bad(lambda _: None, "Authorization header is missing"),
    "another scheme": Bad(lambda _: "Basic abc", "Authorization header must be: Bearer <token>"),
    "no token": Bad(lambda _: "Bearer", "Authorization header must be: Bearer <token>"),
    "garbage": Bad(lambda _: "Bearer abc", f"{INVALID}Not enough segments"),
    "expired": Bad(signed(exp=LATE), "Token has expired"),
    "foreign signature": Bad(signed(key=KEY), "Invalid token signature"),
    "alg none": Bad(unsigned(alg="none"), NOT_ALLOWED),
    "alg nOnE": Bad(unsigned(alg="nOnE"), NOT_ALLOWED),
    "no alg": Bad(unsigned(typ="JWT"), f"{INVALID}Algorithm not specified"),
    "another alg": Bad(signed(algorithm="HS512"), NOT_ALLOWED),
    "wrong audience": Bad(signed(aud="other"), AUDIENCE),
    "no exp": Bad(signed(exp=None), f'{INVALID}Token is missing the "exp" claim'),
    "no sub": Bad(signed(sub=None), f'{INVALID}Token is missing the "sub" claim'),
    "no aud": Bad(signed(aud=None), f'{INVALID}Token is missing the "aud" claim'),
    "a list of audiences": Bad(signed(aud=["authenticated"]), f"{INVALID}Invalid claim format in"),
    "not yet": Bad(signed(nbf=60), f"{INVALID}The token is not yet valid (nbf)"),
    "from the future": Bad(signed(iat=60), f"{INVALID}The token is not yet valid (iat)"),
    "empty sub": Bad(signed(sub=""), f"{INVALID}sub must have 1 to 128 characters"),
    "long sub": Bad(signed(sub="s" * 129), f"{INVALID}sub must have 1 to 128 characters"),
    "sub with NUL": Bad(signed(sub="a\x00b"), f"{INVALID}sub {STORED}"),
    "email with NUL": Bad(signed(email="a\x00b"), f"{INVALID}email {STORED}"),
    "sub of half a pair": Bad(signed(sub="\ud800"), f"{INVALID}sub must not contain half"),
    "endless exp": Bad(signed_as_is(exp=math.inf), f"{INVALID}Expiration Time claim (exp) must be"),
    "endless nbf": Bad(signed_as_is(nbf=math.inf), f"{INVALID}Not Before claim (nbf) must be"),
    "endless iat": Bad(signed_as_is(iat=math.inf), f"{INVALID}Issued At claim (iat) must be"),
    "nested deep": Bad(deep, INVALID),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=list(BAD))
@pytest.mark.holds("S01", "S03", "S04")
async def test_no_route_answers_to_a_bad_token(installation: Platform, bad: Bad) -> None:
    head = await installation.at_rest()
    header = bad.header(jwt_key(installation.settings))
    sent: Mapping[str, str] = {} if header is None else {"Authorization": header}
    tried = 0
    for endpoint in endpoints(create_app(installation.settings)):
        if endpoint.is_public:
            continue
        refused = await installation.http.request(
            endpoint.method, endpoint.url(SOMEWHERE), headers=sent
        )
        assert refused.headers["content-type"] == "application/problem+json", endpoint
        assert refused.headers["www-authenticate"] == "Bearer"
        problem = answered(refused, 401)
        assert problem["message"].startswith(bad.message), endpoint
        assert (problem["type"], problem["detail"]) == ("unauthorized", problem["message"])
        tried += 1
    assert tried > 20
    assert await installation.at_rest() == head


def test_only_health_and_documents_are_public(installation: Platform) -> None:
    app = create_app(installation.settings)
    assert {e.path for e in endpoints(app) if e.is_public} == PUBLIC_PATHS


async def test_a_clock_that_is_a_little_behind_is_forgiven(installation: Platform) -> None:
    almost = signed(exp=-request_limits.TOKEN_LEEWAY_SECONDS / 2)
    header = almost(jwt_key(installation.settings))
    path = "/api/v1/credits"
    answered(await installation.http.get(path, headers={"Authorization": header}))


@pytest.mark.holds("S03")
async def test_a_token_that_was_accepted_ends_with_its_time(installation: Platform) -> None:
    ends_soon = signed(exp=2 - request_limits.TOKEN_LEEWAY_SECONDS)
    sent = {"Authorization": ends_soon(jwt_key(installation.settings))}

    async def refused() -> httpx2.Response | None:
        response = await installation.http.get("/api/v1/credits", headers=sent)
        return response if response.status_code != 200 else None

    assert await refused() is None
    assert answered(await eventually(refused), 401)["message"] == "Token has expired"


def test_a_token_is_verified_once() -> None:
    verifier, token = Verifier(Settings(jwt_verify_key=KEY)), good_token()
    assert verifier.verify(token) is verifier.verify(token)
    assert verifier.verify(good_token()) != verifier.verify(token)


def test_only_so_many_tokens_are_remembered() -> None:
    verifier, first = Verifier(Settings(jwt_verify_key=KEY)), good_token()
    principal = verifier.verify(first)
    for _ in range(request_limits.TOKENS_REMEMBERED_MAX):
        verifier.verify(good_token())
    again = verifier.verify(first)
    assert again == principal
    assert again is not principal


def test_what_resembles_a_remembered_token_proves_nothing() -> None:
    verifier, token, other = Verifier(Settings(jwt_verify_key=KEY)), good_token(), good_token()
    verifier.verify(token)
    verifier.verify(other)
    header, body, signature = token.split(".")
    for forged in (
        f"{header}.{body}.{other.rpartition('.')[2]}",
        f"{header}.{other.split('.')[1]}.{signature}",
        f"{header}.{body}.{_part(bytes(32))}",
        f"{header}.{body}.",
    ):
        for _ in range(2):
            with pytest.raises(TokenRefused, match="Invalid token signature"):
                verifier.verify(forged)


@pytest.mark.holds("S02")
def test_a_public_key_is_no_secret() -> None:
    """A token that says HS256 and is signed with the public key proves nothing."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    verifier = Verifier(Settings(jwt_algorithm="RS256", jwt_verify_key=public.decode()))
    good = claims()
    assert verifier.verify(jwt.encode(good, private, algorithm="RS256")).user_id == good["sub"]
    signing = jwt.get_algorithm_by_name("HS256")
    content = ".".join(
        [_part(b'{"alg":"HS256","typ":"JWT"}'), _part(b'{"sub":"1","aud":"authenticated"}')]
    )
    forged = f"{content}.{_part(signing.sign(content.encode(), public))}"
    with pytest.raises(TokenRefused, match="alg value is not allowed"):
        verifier.verify(forged)


ISSUER = "https://id.example.com"
STRICT = Settings(jwt_verify_key=KEY, jwt_issuer=ISSUER, jwt_key_id="1")


def test_where_issuer_and_key_are_set_a_token_names_them() -> None:
    good = claims(iss=ISSUER)
    verifier = Verifier(STRICT)
    assert verifier.verify(jwt.encode(good, KEY, headers={"kid": "1"})).user_id == good["sub"]
    own = sign_token(STRICT, user_id=ids.new_id(), email="user@example.com")
    assert verifier.verify(own).email == "user@example.com"
    assert Verifier(Settings(jwt_verify_key=KEY)).verify(own).email == "user@example.com"


@pytest.mark.parametrize(
    ("changes", "headers", "message"),
    [
        ({"iss": "https://id.example.org"}, {"kid": "1"}, "Invalid issuer"),
        ({"iss": None}, {"kid": "1"}, 'missing the "iss" claim'),
        ({"iat": None}, {"kid": "1"}, 'missing the "iat" claim'),
        ({}, {"kid": "2"}, "its key is not known"),
        ({}, {}, "its key is not known"),
    ],
)
@pytest.mark.holds("S03", "S04", "S05")
def test_and_is_refused_otherwise(
    changes: dict[str, Any], headers: dict[str, str], message: str
) -> None:
    token = jwt.encode(claims(**{"iss": ISSUER, **changes}), KEY, headers=headers)
    with pytest.raises(TokenRefused, match=message):
        Verifier(STRICT).verify(token)


@given(st.text(max_size=60) | st.text(max_size=60).map(lambda text: f"Bearer {text}"))
def test_no_header_breaks_the_check(header: str) -> None:
    with pytest.raises(TokenRefused):
        Verifier(Settings(jwt_verify_key=KEY)).authenticate(header)
