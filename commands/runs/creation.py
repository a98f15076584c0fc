"""How a run comes into the log: its first event, its large inputs, and the credits set aside."""

from __future__ import annotations

import msgspec

from domain import credits as accounts
from domain import large_values, runs, storage
from domain.credits import Account
from domain.runs import RunCreated
from domain.storage import STORAGE, Quota
from runtime.aggregates.repository import Loaded, Repository
from runtime.eventlog.log import StreamWrite


async def writes(
    repository: Repository,
    account: Loaded[Account],
    run_id: str,
    created: RunCreated,
    quota: Quota | None = None,
) -> list[StreamWrite]:
    """The first event of a run with the hold of its credits, to be appended together.

    Large inputs are in the log's store before this returns; with a quota, they count. Raises
    PaymentRequired and QuotaExceeded.
    """
    holding = accounts.hold(account.state, hold=run_id, amount=created.held)
    return [*await opening(repository, run_id, created, quota), *account.write(holding)]


async def opening(
    repository: Repository, run_id: str, created: RunCreated, quota: Quota | None = None
) -> list[StreamWrite]:
    """The first event of a run, and with a quota what its large inputs count.

    They are in the log's store before this returns. Raises QuotaExceeded.
    """
    large, values = large_values.take_out(created.inputs.items())
    storing: list[StreamWrite] = []
    if large:
        if quota is not None:
            stored = await repository.load(STORAGE, created.user_id)
            size = sum(map(len, values.values()))
            events = storage.store_inputs(stored.state, quota, run_id=run_id, size=size)
            storing = stored.write(events)
        await repository.log.values.put(created.user_id, list(values.values()))
        inputs = {name: None if name in large else v for name, v in created.inputs.items()}
        created = msgspec.structs.replace(created, inputs=inputs, large=large)
    return [StreamWrite.of(runs.stream_of(run_id), 0, [created]), *storing]
