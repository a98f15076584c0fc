"""As whom processes run. Root hands them to system users; anybody else runs them as themselves.

The servers have one, and our own processes another, so that these can neither read nor stop what
the database is. Nobody gets back what they gave away.

No permission of any folder on the way is changed. One that the system user may not pass, such as a
root's home, and that cannot be opened for us alone (`passage.py`), is passed with one kept
capability, and only then.
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

SERVER_USER = "evergraph"
PROCESS_USER = "evergraph-app"

CAP_DAC_READ_SEARCH = 2
CAP_SETPCAP = 8
PR_SET_PDEATHSIG = 1
PR_SET_SECUREBITS = 28
PR_SET_NO_NEW_PRIVS = 38
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
    return _system_account(SERVER_USER)


def own_account() -> Account:
    """The account of our processes. Raises StartError when root has no user to become."""
    uid, gid = os.geteuid(), os.getegid()
    return Account(str(uid), uid, gid) if uid != 0 else _system_account(PROCESS_USER)


def gain_none() -> None:
    """From now on no program gives us or our children more than we have. Before any thread."""
    if _ON_LINUX:
        _prctl(PR_SET_NO_NEW_PRIVS, 1)


def leave_root(needs: Iterable[Path]) -> None:
    """Become the user of our processes, once and for all, who can still get to what it `needs`.

    Ports are bound and secrets are read by then. Raises StartError.
    """
    account = own_account()
    if not account.is_ours:
        past = barrier(account, needs)
        _check_passable(account, past)
        _change_user(account, keep_capability=past is not None)


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
    _check_passable(account, past)
    supervisor = os.getpid()

    def before() -> None:
        if not account.is_ours:
            _change_user(account, keep_capability=past is not None)
        if _ON_LINUX:
            _prctl(PR_SET_PDEATHSIG, death_signal)
            if os.getppid() != supervisor:
                os._exit(1)

    return before


def _check_passable(account: Account, past: Path | None) -> None:
    if past is not None and not _can_keep_capability():
        raise StartError(
            f"{past} keeps the user {account.name} out of what lies below it; use a data folder"
            " elsewhere, or start as a user other than root"
        )


def _change_user(account: Account, *, keep_capability: bool) -> None:
    if keep_capability:
        _prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP)
    os.setgroups([account.gid])
    os.setgid(account.gid)
    os.setuid(account.uid)
    if keep_capability:
        _keep_only(CAP_DAC_READ_SEARCH)


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
    wanted = 1 << CAP_DAC_READ_SEARCH | 1 << CAP_SETPCAP
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


def _system_account(name: str) -> Account:
    useradd = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if useradd and _look_up(name) is None:
        subprocess.run(  # noqa: S603 - a fixed command
            [useradd, "--system", "--user-group", "--no-create-home", "--shell=/bin/false", name],
            check=False,
            capture_output=True,
        )
    found = _look_up(name) or _look_up("nobody")
    if found is None:
        raise StartError(f"nothing of ours runs as root, and there is no user {name}")
    return found


def _look_up(name: str) -> Account | None:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return Account(name, entry.pw_uid, entry.pw_gid)
