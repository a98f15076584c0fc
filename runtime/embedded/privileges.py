"""As whom a server runs. Root hands it to a system user; anybody else runs it as themselves.

No permission of any existing folder is changed. A folder that the system user may not pass, such
as a root's home, is passed with one kept capability, and only then.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from runtime.embedded.child import StartError

SYSTEM_USER = "evergraph"

CAP_DAC_OVERRIDE = 1
CAP_SETPCAP = 8
PR_SET_PDEATHSIG = 1
PR_SET_SECUREBITS = 28
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
SECBIT_NO_SETUID_FIXUP = 1 << 2
CAPABILITY_VERSION_3 = 0x20080522

_ON_LINUX = sys.platform == "linux"
_libc = ctypes.CDLL(None, use_errno=True)


class Account(msgspec.Struct, frozen=True):
    name: str
    uid: int
    gid: int

    @property
    def is_ours(self) -> bool:
        return self.uid == os.geteuid()


def account(home: Path) -> Account:
    """The account for a server that lives in `home`: whose it is already, or a system user's.

    Raises StartError when root has no user to hand it to.
    """
    uid, gid = os.geteuid(), os.getegid()
    if uid != 0:
        return Account(str(uid), uid, gid)
    if home.exists() and (status := home.stat()).st_uid != 0:
        return Account(str(status.st_uid), status.st_uid, status.st_gid)
    return _system_account()


def barrier(account: Account, paths: Iterable[Path]) -> Path | None:
    """The first folder on the way to `paths` that `account` may not pass."""
    if account.is_ours:
        return None
    for path in paths:
        for folder in reversed(path.resolve().parents):
            if not _may_pass(account, folder):
                return folder
    return None


def become(account: Account, past: Path | None, death_signal: signal.Signals) -> Callable[[], None]:
    """What a child does before it becomes the server: change user, and tie itself to us.

    On Linux `death_signal` reaches it when this process dies. `past` is the barrier that it must
    be able to pass. Raises StartError when it could not.
    """
    if past is not None and not _can_keep_capability():
        raise StartError(
            f"{past} keeps the user {account.name} out of what lies below it; use a data folder"
            " elsewhere, or start as a user other than root"
        )
    supervisor = os.getpid()

    def before() -> None:
        if not account.is_ours:
            _change_user(account, keep_capability=past is not None)
        if _ON_LINUX:
            _prctl(PR_SET_PDEATHSIG, death_signal)
            if os.getppid() != supervisor:
                os._exit(1)

    return before


def _change_user(account: Account, *, keep_capability: bool) -> None:
    if keep_capability:
        _prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP)
    os.setgroups([account.gid])
    os.setgid(account.gid)
    os.setuid(account.uid)
    if keep_capability:
        _keep_only(CAP_DAC_OVERRIDE)


def _keep_only(capability: int) -> None:
    """Be able to do this one privileged thing, also after the next exec, and no other."""
    mask = 1 << capability
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    effective_permitted_inheritable = (ctypes.c_uint32 * 6)(mask, mask, mask)
    _check(_libc.capset(header, effective_permitted_inheritable))
    _prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability)


def _prctl(option: int, *arguments: int) -> None:
    padded = (*arguments, 0, 0, 0, 0)[:4]
    _check(_libc.prctl(option, *map(ctypes.c_ulong, padded)))


def _check(result: int) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _can_keep_capability() -> bool:
    if not _ON_LINUX:
        return False
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    effective = int(status.partition("CapEff:")[2].split()[0], 16)
    wanted = 1 << CAP_DAC_OVERRIDE | 1 << CAP_SETPCAP
    return effective & wanted == wanted


def _may_pass(account: Account, folder: Path) -> bool:
    status = folder.stat()
    if status.st_uid == account.uid:
        bit = stat.S_IXUSR
    elif status.st_gid == account.gid:
        bit = stat.S_IXGRP
    else:
        bit = stat.S_IXOTH
    return bool(status.st_mode & bit)


def _system_account() -> Account:
    useradd = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if useradd and _look_up(SYSTEM_USER) is None:
        subprocess.run(  # noqa: S603 - a fixed command
            [useradd, "--system", "--no-create-home", "--shell", "/bin/false", SYSTEM_USER],
            check=False,
            capture_output=True,
        )
    found = _look_up(SYSTEM_USER) or _look_up("nobody")
    if found is None:
        raise StartError(f"PostgreSQL refuses to run as root, and there is no user {SYSTEM_USER}")
    return found


def _look_up(name: str) -> Account | None:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return Account(name, entry.pw_uid, entry.pw_gid)
