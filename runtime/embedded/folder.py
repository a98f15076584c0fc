"""The data folder: everything that one installation keeps, and who may work in it."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import signal
import stat
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

from domain import limits
from runtime import clock
from runtime.embedded.child import StartError


def make(data_dir: Path) -> None:
    """Create the data folder if it is missing. Others may pass through it and list nothing.

    Raises StartError.
    """
    try:
        data_dir.mkdir(mode=0o711, parents=True, exist_ok=True)
    except OSError as error:
        raise StartError(f"the data folder {data_dir} cannot be made: {error.strerror}") from error


@contextmanager
def hold(data_dir: Path) -> Iterator[None]:
    """Be the only supervisor of a data folder. The kernel lets go when this process dies.

    Raises StartError when somebody else is.
    """
    make(data_dir)
    descriptor = _open(data_dir / "lock", os.O_RDONLY)
    try:
        if not _lock(descriptor):
            raise StartError(f"another evergraph is running in {data_dir}")
        yield
    finally:
        os.close(descriptor)


class Lease:
    """The right to run a server in a folder. It lasts as long as any process of the server.

    The server inherits `descriptor` and with it the lock, so no pid has to be believed: while one
    of its processes lives, however its supervisor died, nobody else gets the lease. It can only
    read through it, so it cannot name another to be evicted in its place.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self.descriptor = descriptor

    def name_holder(self, pid: int) -> None:
        """Note whom to tell to leave when the lease is wanted again."""
        self._path.write_text(str(pid), encoding="ascii")


@asynccontextmanager
async def lease(path: Path) -> AsyncIterator[Lease]:
    """Take the lease at `path`, waiting for what an earlier supervisor left behind.

    Only the holder of the data folder may ask: what does not leave in time is told to.
    """
    descriptor = _open(path, os.O_RDONLY)
    try:
        patience = clock.monotonic() + limits.LINGER_SECONDS_MAX
        while not _lock(descriptor):
            if clock.monotonic() > patience:
                _evict(descriptor)
                patience = clock.monotonic() + limits.LINGER_SECONDS_MAX
            await asyncio.sleep(limits.START_POLL_SECONDS)
        yield Lease(path, descriptor)
    finally:
        os.close(descriptor)


def socket_folder(data_dir: Path) -> Path:
    """Where the servers of a data folder put their sockets.

    Not below the data folder, which may be too deep for a socket's address, but a name that every
    process of this user finds by itself.
    """
    digest = hashlib.sha256(os.fsencode(data_dir.resolve())).hexdigest()[:16]
    name = f"evergraph-{os.geteuid()}-{digest}"
    usual = Path(tempfile.gettempdir(), name)
    if len(os.fsencode(usual)) <= limits.SOCKET_FOLDER_BYTES_MAX:
        return usual
    return Path("/tmp", name)  # noqa: S108 - whoever uses it checks whose it is


def claim(folder: Path, uid: int, gid: int) -> None:
    """Make sure that `folder` is a real folder which only `uid` can enter. Raises StartError."""
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.lstat().st_uid == os.geteuid() != uid:
        os.chown(folder, uid, gid, follow_symlinks=False)
    check(folder, uid)


def check(folder: Path, uid: int) -> None:
    """Refuse a folder that somebody other than `uid` could have put there. Raises StartError."""
    status = folder.lstat()
    private = stat.S_ISDIR(status.st_mode) and stat.S_IMODE(status.st_mode) == stat.S_IRWXU
    if not private or status.st_uid != uid:
        raise StartError(f"{folder} is not a private folder of user {uid}; remove it")


def write_secret(path: Path, content: bytes, uid: int, gid: int) -> None:
    """Replace the file at `path` by one that only `uid` can read, whole or not at all."""
    unfinished = path.with_name(f"{path.name}.new")
    with os.fdopen(_open(unfinished, os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW), "wb") as file:
        os.fchown(file.fileno(), uid, gid)
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


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _evict(descriptor: int) -> None:
    """Linux ends a server with its supervisor; elsewhere an orphan is found here and told."""
    pid = os.pread(descriptor, 20, 0)
    if pid.isdigit():
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(int(pid), signal.SIGQUIT)
