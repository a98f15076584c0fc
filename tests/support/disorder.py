"""An installation that has run before, started anew with its parts in any order.

`python -m tests.support.disorder api nats …` is a supervisor like `evergraph up`, except that it
waits for nothing: who comes before what it needs has to cope.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

from evergraph import address
from evergraph.program import Program
from evergraph.up import Installation
from runtime import process
from runtime import settings as environment
from runtime.embedded import folder
from runtime.embedded.child import Child
from runtime.embedded.nats import NatsServer
from runtime.embedded.postgres import PostgresServer
from runtime.settings import Settings


class Disordered(Installation):
    """Starts its parts in the order of these names, which are all that there are."""

    def __init__(self, settings: Settings, order: Sequence[str]) -> None:
        super().__init__(address.complete(settings), environment.environment())
        self._order = order

    async def start(self) -> None:
        self._nats = [NatsServer(self.settings.data_dir)]
        self._postgres = [PostgresServer(self.settings.data_dir)]
        self._programs = list(self._our_programs())
        parts: list[Child] = [*self._nats, *self._postgres, *self._programs]
        by_name = {part.name: part for part in parts}
        for name in self._order:
            part = by_name.pop(name)
            if isinstance(part, Program):
                part.go()
            await self._supervisor.add(part)
        assert not by_name, "everything is started"


async def serve(settings: Settings) -> None:
    """Run until cancelled; then stop everything."""
    with folder.hold(settings.data_dir):
        installation = Disordered(settings, sys.argv[1:])
        try:
            await installation.start()
            await asyncio.Event().wait()
        finally:
            await installation.stop()


if __name__ == "__main__":
    sys.exit(process.run("up", serve))
