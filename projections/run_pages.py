"""What one answer shows of a run: as many of its node executions and outputs as have room in it.

Values are JSON here, large ones as they are stored, and none is read that is not shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from domain import limits
from domain.contracts import ERROR_PIN
from domain.engine.execution import Execution
from domain.engine.records import BLOCK
from domain.engine.views import Place, View
from domain.large_values import Large
from domain.runs import NodeFailed, Output, RunStatus
from projections.run_values import large_in, results_at
from projections.run_views import CheckpointsGone, Found, Views
from projections.turns import Turn

WIDEST = 16 * BLOCK
"""Executions whose records are read at once, if they prove to be small."""


class Shown(msgspec.Struct):
    """An execution with its values as JSON. `omitted` are the pins of which values had no room
    although it was alone.
    """

    execution: Execution
    data: dict[str, msgspec.Raw]
    outputs: list[tuple[str, msgspec.Raw]]
    omitted: list[str]


class OutputsPage(msgspec.Struct):
    """Some outputs of a run, in their order; `next_after` is None behind the last."""

    outputs: list[tuple[str, msgspec.Raw]]
    next_after: int | None

    def by_name(self) -> dict[str, list[Any]]:
        found: dict[str, list[Any]] = {}
        for name, value in self.outputs:
            found.setdefault(name, []).append(value)
        return found


class Draft(msgspec.Struct):
    """An execution whose large values are not read yet. `seen` are those of them by which others
    of its inputs may be shown differently.
    """

    execution: Execution
    result: Place | None
    data: dict[str, Any]
    seen: bool
    outputs: list[Output] = []

    def large(self) -> set[str]:
        return large_in((*self.data.values(), *(value for _, value in self.outputs)))


class Pages:
    """Makes the pages of one view."""

    def __init__(self, views: Views, turn: Turn, view: View) -> None:
        assert view.run.created is not None
        self._views = views
        self._turn = turn
        self._view = view
        self._log = views.log
        self._owner = view.run.created.user_id

    async def executions(self, numbers: range) -> list[Shown]:
        """Those of these executions that there are, until the page is full; one at least.

        Raises CheckpointsGone.
        """
        last = min(numbers.stop, self._view.run.count)
        at, width = numbers.start, BLOCK
        room = limits.EXECUTIONS_PAGE_BYTES
        shown: list[Shown] = []
        while at < last and room > 0:
            chunk = range(at, min(at + width, last))
            some, spent = await self._some(chunk, room, is_first=not shown)
            shown += some
            if len(some) < len(chunk):
                break
            at, room = chunk.stop, room - spent
            width = min(2 * width, WIDEST) if spent < room // 8 else BLOCK
        return shown

    async def outputs(self, after: int) -> OutputsPage:
        """The outputs behind the first `after`, until the page is full. Raises CheckpointsGone."""
        view = self._view
        here = {place: number for number, place in view.number_outputs().items()}
        at, width = after, BLOCK
        room = limits.OUTPUTS_PAGE_BYTES
        found: list[tuple[str, msgspec.Raw]] = []
        while at < view.outputs_count and (room > 0 or not found):
            places = range(at, min(at + width, view.outputs_count))
            gone = {} if all(p in here for p in places) else await self._views.outputs(view, places)
            entries = [view.run.outputs[here[p]] if p in here else _entry(gone, p) for p in places]
            some, spent = await self._fitting(entries, room, is_first=not found)
            found += some
            at, room = at + len(some), room - spent
            if len(some) < len(entries):
                break
            width = min(2 * width, WIDEST) if spent < room // 8 else BLOCK
        return OutputsPage(found, at if at < view.outputs_count else None)

    async def values(self, given: Mapping[str, Any], room: int) -> dict[str, msgspec.Raw]:
        """As many of the values as have room, in order; one that has none is left out."""
        sizes = await self._log.values.sizes(self._owner, large_in(given.values()))
        kept: dict[str, Any] = {}
        for name, value in given.items():
            encoded = _light(value)
            size = _size(encoded, sizes)
            if size <= room:
                kept[name] = encoded
                room -= size
        return await self._read(kept)

    async def _fitting(
        self, entries: Sequence[Output], room: int, *, is_first: bool
    ) -> tuple[list[tuple[str, msgspec.Raw]], int]:
        """The first of the outputs that have room; a first one of a page always does."""
        sizes = await self._log.values.sizes(self._owner, large_in(v for _, v in entries))
        fitting: list[tuple[str, Any]] = []
        spent = 0
        for name, value in entries:
            encoded = _light(value)
            size = _size(encoded, sizes)
            if spent + size > room and not (is_first and not fitting):
                break
            fitting.append((name, encoded))
            spent += size
        raw = await self._read_all([value for _, value in fitting], spent)
        return [(name, value) for (name, _), value in zip(fitting, raw, strict=True)], spent

    async def _some(self, numbers: range, room: int, *, is_first: bool) -> tuple[list[Shown], int]:
        drafts = await self._drafts(numbers)
        sizes = [_light_size(draft) for draft in drafts]
        drafts = drafts[: _count(sizes, room, is_first=is_first)]
        if sum(sizes[: len(drafts)]) > limits.RUN_LIGHT_BYTES:
            await self._turn.take()
        await self._read_results(drafts)
        large = await self._log.values.sizes(
            self._owner, set().union(*(draft.large() for draft in drafts))
        )
        full = [_full_size(draft, large) for draft in drafts]
        drafts = drafts[: _count(full, room, is_first=is_first)]
        spent = sum(full[: len(drafts)])
        omitted: list[str] = []
        if spent > room:
            [alone] = drafts
            omitted = _left_out(alone, large, room)
        return await self._shown(drafts, spent, omitted), spent

    async def _drafts(self, numbers: range) -> list[Draft]:
        view = self._view
        here = view.run.executions
        gone: Mapping[int, Found] = {}
        if not all(number in here for number in numbers):
            gone = await self._views.finished(view, numbers)
        drafts = []
        for number in numbers:
            if number in here:
                drafts.append(_draft(here[number], view.results.get(number)))
            elif number in gone:
                drafts.append(_draft(gone[number].execution, gone[number].result))
            else:
                raise CheckpointsGone
        return drafts

    async def _read_results(self, drafts: Sequence[Draft]) -> None:
        places = [draft.result for draft in drafts if draft.result is not None]
        events = await results_at(self._log, places) if places else {}
        for draft in drafts:
            if draft.result is not None:
                event = events[draft.result]
                draft.outputs = [(n, _light(v)) for n, v in event.outputs if v is not None]
                if isinstance(event, NodeFailed):
                    draft.outputs.append((ERROR_PIN, _light(event.error)))

    async def _shown(
        self, drafts: Sequence[Draft], spent: int, omitted: Sequence[str]
    ) -> list[Shown]:
        hashes = set().union(*(draft.large() for draft in drafts))
        if spent > limits.RUN_LIGHT_BYTES:
            await self._turn.take()
        raw = await self._log.values.get(self._owner, hashes)
        shown = []
        for draft in drafts:
            if draft.seen and not omitted:
                _prepare_whole(draft, raw)
            data = {pin: _raw(value, raw) for pin, value in draft.data.items()}
            outputs = [(name, _raw(value, raw)) for name, value in draft.outputs]
            shown.append(Shown(draft.execution, data, outputs, list(omitted)))
        return shown

    async def _read(self, values: Mapping[str, Any]) -> dict[str, msgspec.Raw]:
        raw = await self._read_all(list(values.values()), 0)
        return dict(zip(values, raw, strict=True))

    async def _read_all(self, values: Sequence[Any], spent: int) -> list[msgspec.Raw]:
        if spent > limits.RUN_LIGHT_BYTES:
            await self._turn.take()
        raw = await self._log.values.get(self._owner, large_in(values))
        return [_raw(value, raw) for value in values]


def _draft(execution: Execution, result: Place | None) -> Draft:
    """What is known of the execution before large values are read, which are counted as they are
    stored.
    """
    node, given = execution.node.node, execution.given
    if execution.status is RunStatus.INCOMPLETE:
        return Draft(execution, result, {pin: _light(v) for pin, v in given.items()}, seen=False)
    seen = {p: v for p, v in given.items() if type(v) is Large and not node.takes_unseen(p)}
    data, _ = node.prepare({pin: v for pin, v in given.items() if pin not in seen})
    light = {pin: _light(value) for pin, value in {**data, **seen}.items()}
    return Draft(execution, result, light, seen=bool(seen))


def _prepare_whole(draft: Draft, raw: Mapping[str, bytes]) -> None:
    """Make the inputs what they were to the node, now that those are here that it looked at."""
    node = draft.execution.node.node
    given = {
        pin: msgspec.json.decode(raw[value.hash])
        if type(value) is Large and not node.takes_unseen(pin)
        else value
        for pin, value in draft.execution.given.items()
    }
    draft.data = {pin: _light(value) for pin, value in node.prepare(given)[0].items()}


def _light(value: Any) -> Any:
    """JSON of a value that is here."""
    return value if type(value) is Large else msgspec.Raw(msgspec.json.encode(value))


def _raw(value: Any, raw: Mapping[str, bytes]) -> msgspec.Raw:
    return msgspec.Raw(raw[value.hash]) if type(value) is Large else value


def _size(value: Any, large: Mapping[str, int]) -> int:
    return large[value.hash] if type(value) is Large else len(value)


def _light_size(draft: Draft) -> int:
    inputs = sum(len(value) for value in draft.data.values() if type(value) is not Large)
    return inputs + (0 if draft.result is None else draft.result.bytes)


def _full_size(draft: Draft, large: Mapping[str, int]) -> int:
    values = (*draft.data.values(), *(value for _, value in draft.outputs))
    return sum(_size(value, large) for value in values)


def _count(sizes: Sequence[int], room: int, *, is_first: bool) -> int:
    """How many have room; the first one of a page always does."""
    spent = 0
    for count, size in enumerate(sizes):
        spent += size
        if spent > room and not (is_first and count == 0):
            return count
    return len(sizes)


def _left_out(alone: Draft, large: Mapping[str, int], room: int) -> list[str]:
    """Take from an execution what there is no room for, inputs before outputs."""
    omitted = []
    outputs, alone.outputs = alone.outputs, []
    data, alone.data = alone.data, {}
    for name, value in outputs:
        size = _size(value, large)
        if size > room:
            omitted.append(name)
        else:
            alone.outputs.append((name, value))
            room -= size
    for pin, value in data.items():
        size = _size(value, large)
        if size > room:
            omitted.append(pin)
        else:
            alone.data[pin] = value
            room -= size
    return list(dict.fromkeys(omitted))


def _entry(gone: Mapping[int, Any], place: int) -> Output:
    output = gone.get(place)
    if output is None:
        raise CheckpointsGone
    return output.name, output.value
