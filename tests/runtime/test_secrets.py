from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path
from uuid import UUID

import jwt
import pytest

from runtime import clock, secrets
from runtime.settings import Settings, SettingsError

USER = UUID("11111111-2222-4333-8444-555555555555")

PROGRAM = """
import sys
from pathlib import Path
from runtime import secrets
from runtime.settings import Settings
print(secrets.jwt_key(Settings(data_dir=Path(sys.argv[1]))))
"""


@pytest.mark.holds("S40")
def test_the_key_is_made_once_for_all_processes_and_only_ours_to_read(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    rivals = [
        subprocess.Popen([sys.executable, "-c", PROGRAM, data_dir], stdout=subprocess.PIPE)
        for _ in range(4)
    ]
    keys = {rival.communicate()[0].decode().strip() for rival in rivals}
    assert keys == {secrets.jwt_key(Settings(data_dir=data_dir))}
    assert len(keys.pop()) == 64
    assert stat.S_IMODE((data_dir / "jwt.key").stat().st_mode) == 0o600
    assert [path.name for path in data_dir.iterdir()] == ["jwt.key"]


def test_the_key_of_the_settings_comes_first(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, jwt_verify_key="k" * 32)
    assert secrets.jwt_key(settings) == "k" * 32
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_a_token_says_who_and_until_when(tmp_path: Path, algorithm: str) -> None:
    settings = Settings(data_dir=tmp_path, jwt_algorithm=algorithm)
    token = secrets.sign_token(
        settings, user_id=USER, email="a@example.com", name="A", admin=True, seconds=60
    )
    key = secrets.jwt_key(settings)
    claims = jwt.decode(token, key, algorithms=[algorithm], audience=secrets.AUDIENCE)
    assert claims.pop("exp") - claims["iat"] == 60
    assert abs(claims.pop("iat") - clock.now().timestamp()) < 10
    assert claims == {
        "sub": str(USER),
        "email": "a@example.com",
        "aud": "authenticated",
        "role": "admin",
        "user_metadata": {"name": "A"},
    }


def test_a_token_of_an_ordinary_user_has_no_more_than_that(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    token = secrets.sign_token(settings, user_id=USER, email="a@example.com")
    claims = jwt.decode(token, options={"verify_signature": False})
    assert (claims["role"], claims["user_metadata"]) == ("authenticated", {})


def test_a_private_key_elsewhere_means_no_tokens_from_here(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, jwt_algorithm="RS256", jwt_verify_key="public")
    with pytest.raises(SettingsError, match="RS256"):
        secrets.sign_token(settings, user_id=USER, email="a@example.com")
