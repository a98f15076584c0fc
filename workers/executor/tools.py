"""What the runs of one executor share."""

from __future__ import annotations

import msgspec

from commands.plans import Plans
from commands.streams import Streams
from commands.turns import Turns
from runtime.egress import Egress
from workers.executor.paces import Paces
from workers.executor.renderers import Renderers


class Tools(msgspec.Struct, frozen=True):
    """`worker` is this incarnation of the process; `turns` are by account."""

    worker: str
    streams: Streams
    plans: Plans
    turns: Turns
    paces: Paces
    http: Egress
    templates: Renderers
