"""A process that appends at random to a few streams, and says on its output what it was answered.

    python -m tests.properties.writer DATABASE_URL SEED APPENDS

Each line is `stream first last`.
"""

from __future__ import annotations

import asyncio
import random
import sys

from runtime.eventlog.append import StreamWrite
from runtime.eventlog.errors import VersionConflict
from runtime.eventlog.log import EventLog, opened
from tests.support.log import ORIGIN, granted, whole_stream

STREAMS = tuple(f"s-{number}" for number in range(6))
TASKS = 4


class Writer:
    """Guesses the versions of streams, and looks them up when a guess was wrong."""

    def __init__(self, log: EventLog, seed: int) -> None:
        self.log = log
        self.random = random.Random(seed)
        self.versions: dict[str, int] = {}

    async def write(self) -> tuple[str, int, int] | None:
        """Append to one or two streams: the first stream and the positions, None for a conflict."""
        streams = self.random.sample(STREAMS, self.random.choice((1, 1, 2)))
        events = [granted(self.random.randrange(1, 99))] * self.random.randrange(1, 5)
        writes = [StreamWrite.of(s, self.versions.get(s, 0), events) for s in streams]
        try:
            appended = await self.log.append(writes, ORIGIN)
        except VersionConflict as conflict:
            recorded = await whole_stream(self.log, conflict.stream)
            self.versions[conflict.stream] = len(recorded)
            return None
        for stream in streams:
            self.versions[stream] = self.versions.get(stream, 0) + len(events)
        return streams[0], appended.first, appended.last


async def main(database_url: str, seed: int, appends: int) -> None:
    async with opened(database_url, f"writer {seed}") as log:

        async def write(number: int) -> None:
            writer = Writer(log, seed * TASKS + number)
            for _ in range(appends):
                written = await writer.write()
                if written is not None:
                    sys.stdout.write("{} {} {}\n".format(*written))
                    sys.stdout.flush()

        await asyncio.gather(*(write(number) for number in range(TASKS)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
