"""The data folder: everything that one installation keeps, and who may work in it."""

from __future__ import annotations

import fcntl
import hashlib
import os
import stat
import tempfile
from collections.abc import Container, Iterator
from contextlib import contextmanager
from pathlib import Path

from domain.limits import process_limits
from runtime.embedded.child import StartError

LOCK = "lock"


def make(data_dir: Path) -> None:
    """Create the data folder if it is missing. Others may pass through it and list nothing.

    So it is also for root, whose processes have other users. Raises StartError.
    """
    try:
        data_dir.mkdir(mode=0o711, parents=True, exist_ok=True)
        status = data_dir.stat()
        if os.geteuid() == status.st_uid == 0:
            data_dir.chmod(stat.S_IMODE(status.st_mode) | 0o011)
    except OSError as error:
        raise StartError(f"the data folder {data_dir} cannot be made: {error.strerror}") from error


@contextmanager
def hold(data_dir: Path) -> Iterator[None]:
    """Be the only supervisor of a data folder. The kernel lets go when this process dies.

    Raises StartError when somebody else is.
    """
    make(data_dir)
    descriptor = open_lock(data_dir / LOCK)
    try:
        if not lock(descriptor):
            raise StartError(f"another evergraph is running in {data_dir}")
        yield
    finally:
        os.close(descriptor)


def is_held(data_dir: Path) -> bool:
    """Whether a supervisor holds the data folder. Raises OSError when we may not ask.

    To ask is to lock it for an instant, in which no supervisor can begin: this is for people.
    """
    try:
        descriptor = os.open(data_dir / LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def open_lock(path: Path) -> int:
    """A descriptor to `lock`, through which nothing can be written. Raises StartError."""
    return _open(path, os.O_RDONLY)


def lock(descriptor: int) -> bool:
    """Whether the lock is ours now. It is let go with the last copy of the descriptor."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def socket_folder(data_dir: Path) -> Path:
    """Where the servers of a data folder put their sockets.

    Not below the data folder, which may be too deep for a socket's address, but a name that every
    process of this user finds by itself.
    """
    digest = hashlib.sha256(os.fsencode(data_dir.resolve())).hexdigest()[:16]
    name = f"evergraph-{os.geteuid()}-{digest}"
    usual = Path(tempfile.gettempdir(), name)
    if len(os.fsencode(usual)) <= process_limits.SOCKET_FOLDER_BYTES_MAX:
        return usual
    return Path("/tmp", name)  # noqa: S108 - whoever uses it checks whose it is


def claim(folder: Path, uid: int, gid: int, guests: int | None = None) -> None:
    """Make sure that `folder` is a real folder which only `uid` can enter, or pass for what they
    know to be there, the group of `guests`. Raises StartError.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        _check(folder, os.fstat(descriptor), {uid, os.geteuid()})
        os.fchown(descriptor, uid, gid if guests is None else guests)
        os.fchmod(descriptor, 0o700 if guests is None else 0o710)
    finally:
        os.close(descriptor)


def check(folder: Path, uid: int) -> None:
    """Refuse a folder that somebody other than `uid` could have put there. Raises StartError."""
    _check(folder, folder.lstat(), {uid})


def _check(folder: Path, status: os.stat_result, owners: Container[int]) -> None:
    is_private = stat.S_ISDIR(status.st_mode) and stat.S_IMODE(status.st_mode) in {0o700, 0o710}
    if not is_private or status.st_uid not in owners:
        raise StartError(f"{folder} is not a private folder of ours; remove it")


def write_secret(path: Path, content: bytes, uid: int, gid: int, guests: int | None = None) -> None:
    """Replace the file at `path` by one that only `uid` can read, and the group of `guests`: whole
    or not at all.
    """
    unfinished = path.with_name(f"{path.name}.new")
    with os.fdopen(_open(unfinished, os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW), "wb") as file:
        os.fchown(file.fileno(), uid, gid if guests is None else guests)
        os.fchmod(file.fileno(), 0o600 if guests is None else 0o640)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
    sync(path.parent)


def sync(folder: Path) -> None:
    """Make new names in `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _open(path: Path, flags: int) -> int:
    try:
        return os.open(path, flags | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StartError(f"{path} cannot be opened: {error.strerror}") from error
