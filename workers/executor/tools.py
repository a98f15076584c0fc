"""What the runs of one executor share."""

from __future__ import annotations

import msgspec

from blocks.contract import Http
from commands.plans import Plans
from commands.streams import Streams
from commands.turns import Turns


class Tools(msgspec.Struct, frozen=True):
    """`worker` is this incarnation of the process; `turns` are by account."""

    worker: str
    streams: Streams
    plans: Plans
    turns: Turns
    http: Http
