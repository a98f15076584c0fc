"""What the runs of one executor share."""

from __future__ import annotations

import msgspec

from runtime.aggregates.keyed_lock import KeyedLock
from runtime.aggregates.repository import Repository
from runtime.aggregates.run_repository import RunRepository
from runtime.egress import Egress
from workers.executor.renderers import Renderers
from workers.executor.write_rates import WriteRates


class Dependencies(msgspec.Struct, frozen=True):
    """`worker` is this incarnation of the process; `turns` are by account."""

    worker: str
    repository: Repository
    runs: RunRepository
    turns: KeyedLock
    paces: WriteRates
    http: Egress
    templates: Renderers
