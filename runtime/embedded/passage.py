"""How a process that has left root still gets to what it lives on.

A folder that is closed to others, such as root's home, may lie on the way to the data folder or to
Python. Its mode stays as it is. Instead this process and its children see another folder in its
place, which is open and holds what they need and nothing else.
"""

from __future__ import annotations

import ctypes
import os
import stat
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path

from runtime.embedded.child import StartError

CLONE_NEWNS = 0x00020000
MS_NOSUID = 1 << 1
MS_NODEV = 1 << 2
MS_BIND = 1 << 12
MS_REC = 1 << 14
MS_PRIVATE = 1 << 18

_libc = ctypes.CDLL(None, use_errno=True)


def places(data_dir: Path) -> Sequence[Path]:
    """What every process needs: the data folder, Python, and where temporary files are."""
    needed = (str(data_dir), tempfile.gettempdir(), sys.prefix, sys.base_prefix, *sys.path)
    return [path for path in map(Path, needed) if path.exists()]


def clear(data_dir: Path) -> None:
    """Let every user pass to these places.

    For root, and before there are threads. Where not even root may do it, as in many containers,
    the way stays as it is. Raises StartError.
    """
    barred = _barred(places(data_dir))
    if not barred or not _has_own_view():
        return
    for closed, beyond in barred.items():
        try:
            _replace(closed, sorted(beyond))
        except OSError as error:
            raise StartError(f"{closed} cannot be passed: {error.strerror}") from error


def _barred(wanted: Iterable[Path]) -> dict[Path, set[Path]]:
    """The outermost closed folders, with what is behind each, as it is called and as it is."""
    found: defaultdict[Path, set[Path]] = defaultdict(set)
    for place in wanted:
        for path in {place.absolute(), place.resolve()}:
            for folder in reversed(path.parents):
                if not folder.stat().st_mode & stat.S_IXOTH:
                    found[folder.resolve()].add(path)
                    break
    return found


def _has_own_view() -> bool:
    """Whether what we mount from now on is only there for us and our children."""
    if sys.platform != "linux" or _libc.unshare(CLONE_NEWNS) != 0:
        return False
    try:
        _mount(None, Path("/"), None, MS_REC | MS_PRIVATE)
    except OSError:
        return False
    return True


def _replace(closed: Path, beyond: Sequence[Path]) -> None:
    with ExitStack() as stack:
        handles = {path: os.open(path, os.O_PATH) for path in beyond}
        for handle in handles.values():
            stack.callback(os.close, handle)
        stack.callback(os.umask, os.umask(0o022))
        _mount("tmpfs", closed, "tmpfs", MS_NOSUID | MS_NODEV, "mode=711,size=1m")
        for path, handle in handles.items():
            if path.exists():
                continue  # within one that was before it
            if stat.S_ISDIR(os.fstat(handle).st_mode):
                path.mkdir(parents=True)
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
            _mount(f"/proc/self/fd/{handle}", path, None, MS_BIND | MS_REC)


def _mount(source: str | None, target: Path, kind: str | None, flags: int, data: str = "") -> None:
    texts = (None if text is None else os.fsencode(text) for text in (source, target, kind))
    if _libc.mount(*texts, ctypes.c_ulong(flags), data.encode()) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
