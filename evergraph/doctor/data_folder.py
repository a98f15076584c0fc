"""The data folder: whose it is, who else gets in, and how much room there is."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from domain.limits import installation_limits
from evergraph.doctor.finding import Finding, error, ok, warning

PART = "data folder"
SECRETS = "*.key"
ELSEWHERE = "choose another folder with --data-dir"


def examine(data_dir: Path) -> Iterator[Finding]:
    """Never raises OSError: a folder that we may not look into is a finding."""
    try:
        if not data_dir.exists():
            yield _missing(data_dir)
            return
        yield _folder(data_dir)
        yield from _open_to_others(data_dir)
        yield _room(data_dir)
    except OSError as refusal:
        yield error(
            PART, f"{data_dir} cannot be looked at: {refusal.strerror}", _as_owner(data_dir)
        )


def _missing(data_dir: Path) -> Finding:
    parent = next(path for path in data_dir.parents if path.exists())
    if os.access(parent, os.W_OK | os.X_OK):
        return ok(PART, f"{data_dir} is not there yet; the first start makes it")
    text = f"{data_dir} cannot be made: {_user(os.geteuid())} may not write to {parent}"
    return error(PART, text, f"Make it yourself, or {ELSEWHERE}.")


def _folder(data_dir: Path) -> Finding:
    status = data_dir.stat()
    owner, us = _user(status.st_uid), _user(os.geteuid())
    text = f"{data_dir} belongs to {owner}, mode {stat.S_IMODE(status.st_mode):o}"
    if not stat.S_ISDIR(status.st_mode):
        return error(PART, f"{data_dir} is no folder", f"Remove it, or {ELSEWHERE}.")
    if not os.access(data_dir, os.W_OK | os.X_OK):
        return error(PART, f"{text}; {us} may not write to it", _as_owner(data_dir))
    if status.st_uid != os.geteuid():
        return warning(PART, f"{text}, and this is {us}", _as_owner(data_dir))
    return ok(PART, text)


def _open_to_others(data_dir: Path) -> Iterator[Finding]:
    if data_dir.stat().st_mode & stat.S_IWOTH:
        yield error(PART, "everybody may write to it", f"Run: chmod o-w {data_dir}")
    for secret in sorted(data_dir.glob(SECRETS)):
        if secret.stat().st_mode & stat.S_IRWXO:
            yield error(PART, f"everybody may read {secret.name}", f"Run: chmod o= {secret}")


def _room(data_dir: Path) -> Finding:
    free = shutil.disk_usage(data_dir).free
    text = f"{free / 1024**3:.1f} GiB free"
    if free < installation_limits.DISK_FREE_BYTES_MIN:
        return error(PART, text, "Make room: commands are refused when the disk is full.")
    if free < installation_limits.DISK_FREE_BYTES_LOW:
        return warning(PART, text, "Make room soon: the log only grows.")
    return ok(PART, text)


def _as_owner(data_dir: Path) -> str:
    try:
        owner = _user(data_dir.stat().st_uid)
    except OSError:
        return f"Run evergraph as the user whose folder it is, or {ELSEWHERE}."
    return f"Run evergraph as {owner}, or {ELSEWHERE}."


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
