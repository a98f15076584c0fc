from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from evergraph.greeting import greeting
from runtime.settings import Settings

JWT = "eyJ"


@pytest.mark.holds("S43")
def test_a_token_is_told_to_a_person_and_not_to_a_file(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    assert JWT in greeting(settings, at_terminal=True)
    told = greeting(settings, at_terminal=False)
    assert JWT not in told
    assert f"evergraph token --email demo@example.com --data-dir {tmp_path})" in told


def test_who_has_no_key_is_told_of_no_token(tmp_path: Path) -> None:
    theirs = Settings(data_dir=tmp_path, jwt_algorithm="RS256", jwt_verify_key="public")
    for at_terminal in (True, False):
        assert "curl" not in greeting(theirs, at_terminal=at_terminal)


def test_the_first_request_can_be_pasted(tmp_path: Path) -> None:
    told = greeting(Settings(data_dir=tmp_path), at_terminal=True)
    (line,) = [line for line in told.splitlines() if line.startswith("curl")]
    assert shlex.split(line)[2].startswith("Authorization: Bearer eyJ")
