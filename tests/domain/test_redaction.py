from __future__ import annotations

import pytest

from domain.redaction import is_secret_name, redacted

SECRET = (
    *("token", "accessToken", "access_token", "authtoken", "x-auth-token", "JWTToken"),
    *("clientSecret", "client-secret", "secrets", "secretKey", "secret_key", "secretkey"),
    *("password", "passwd", "dbpassword", "password2", "db_pwd", "pwd", "passphrase"),
    *("credentials", "awsCredential", "auth", "basicAuth", "oauth", "bearer", "jwt", "sessionJwt"),
    *("apiKey", "api_key", "apikey", "API_KEY", "x-api-key", "sort_key", "privateKey"),
    *("Authorization", "proxy-authorization", "Cookie", "set-cookie", "user password"),
    *("headers_#_Authorization", "tokens_$_0", "api_key_2"),
)
PLAIN = (
    *("author", "authors", "authority", "coauthor", "authorized", "unauthorized", "authentic"),
    *("tokens_used", "token_count", "tokenizer", "secretary", "passwordless", "cookiecutter"),
    *("key", "keys", "keyboard", "monkey", "hotkey", "turkeys", "Key", "jwtish", "bearing"),
    *("auth_url", "credentials_id", "pass", "compass", "name", "", "1"),
)


@pytest.mark.parametrize("name", SECRET)
@pytest.mark.holds("S43")
def test_a_secret_is_known_by_its_name(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize("name", PLAIN)
def test_an_ordinary_word_is_no_secret(name: str) -> None:
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://u:p@h/?api_key=x", "https://***@h/?api_key=***"),
        ("https://u:p?a#b@h", "https://***@h"),
        ("nats://t0p@127.0.0.1:4222", "nats://***@127.0.0.1:4222"),
        ("Bearer x", "Bearer ***"),
        ("sent with bearer a1b2", "sent with Bearer ***"),
        ("sent with Bearer abcdefghijklmnopqrst.", "sent with Bearer ***"),
        ("curl -H 'Authorization: Basic dTpw' h", "curl -H 'Authorization: ***' h"),
        ('{"authorization": "abc"', '{"authorization": "***"'),
        ("/a?b=1&accessToken=x&c=2", "/a?b=1&accessToken=***&c=2"),
        ("/a?key=x&sig=y", "/a?key=***&sig=***"),
        ("/a?next=/b?token=x", "/a?next=/b?token=***"),
        ("at eyJh.eyJi.c/x", "at ***/x"),
    ],
)
@pytest.mark.holds("S43")
def test_a_secret_is_known_by_its_look(text: str, shown: str) -> None:
    assert redacted(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "The bearer of bad news, with bearer authentication.",
        "Write to me@example.com, or see https://example.com/a@b and https://h?mail=a@b.c",
        "https://h/?author=x&monkey=y&tokens_used=3&q=a",
        "a = b, c: d; token: none; authorization is needed",
        "heyJoe.and.you",
    ],
)
def test_an_ordinary_text_stays_as_it_is(text: str) -> None:
    assert redacted(text) == text
