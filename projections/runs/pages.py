"""What one answer shows of a run: as many of its node executions and outputs as have room in it.

Values are JSON here, large ones as they are stored or by reference, and none is read that is not
shown.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from domain.contracts import ERROR_PIN
from domain.engine.execution import Execution
from domain.engine.records import BLOCK
from domain.engine.views import Place, View
from domain.large_values import Large
from domain.limits import request_limits, value_limits
from domain.runs import NodeFailed, Output, RunStatus
from projections.runs.permits import Permit
from projections.runs.values import large_in, results_at
from projections.runs.views import CheckpointsGone, Found, Views
from projections.values import Values

EXECUTION_BYTES = 1024
"""What an execution counts beside its values and texts."""
WIDEST = 16 * BLOCK
"""Executions whose records are read at once, if they prove to be small."""

_encode = msgspec.json.Encoder().encode


class Shown(msgspec.Struct):
    """An execution with its values as JSON. `omitted` are the pins of which values had no room
    although it was alone.
    """

    execution: Execution
    data: dict[str, msgspec.Raw]
    outputs: list[tuple[str, msgspec.Raw]]
    omitted: list[str]


class OutputsPage(msgspec.Struct):
    """Some outputs of a run, in their order; `next_after` is None after the last. `omitted` names
    one that had no room although it was alone.
    """

    outputs: list[tuple[str, msgspec.Raw]]
    omitted: list[str]
    next_after: int | None

    def by_name(self) -> dict[str, list[Any]]:
        found: dict[str, list[Any]] = {}
        for name, value in self.outputs:
            found.setdefault(name, []).append(value)
        return found


class Draft(msgspec.Struct):
    """An execution whose large values are not read yet. `seen` are those of its inputs by which
    others may be shown differently.
    """

    execution: Execution
    result: Place | None
    told: int
    """How much is told of it beside its values."""
    data: dict[str, Any]
    seen: list[Large]
    outputs: list[Output] = []
    large: Collection[str] = ()
    """The hashes of all its large values."""


class Pages:
    """Makes the pages of one view, for one answer."""

    def __init__(self, views: Views, permit: Permit, view: View) -> None:
        assert view.run.created is not None
        self._views = views
        self._permit = permit
        self._view = view
        self._log = views.log
        self._values = Values(views.log.values, view.run.created.user_id)
        self._names: dict[str, int] = {}
        """How large the names of pins are."""

    @property
    def large_values(self) -> dict[str, int]:
        """How large those are for which references stand in the answer, by hash."""
        return self._values.referred

    async def executions(self, numbers: range) -> list[Shown]:
        """Those of these executions that there are, until the page is full; one at least.

        Raises CheckpointsGone.
        """
        last = min(numbers.stop, self._view.run.count)
        at, width = numbers.start, BLOCK
        room = request_limits.EXECUTIONS_PAGE_BYTES
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
        room = request_limits.OUTPUTS_PAGE_BYTES
        found: list[tuple[str, msgspec.Raw]] = []
        omitted: list[str] = []
        while at < view.outputs_count and room > 0:
            places = range(at, min(at + width, view.outputs_count))
            gone = {} if all(p in here for p in places) else await self._views.outputs(view, places)
            entries = [view.run.outputs[here[p]] if p in here else _entry(gone, p) for p in places]
            some, spent = await self._fitting(entries, room)
            found += some
            at, room = at + len(some), room - spent
            if len(some) < len(entries):
                if at == after:
                    omitted.append(entries[0][0][: value_limits.NAME_CHARS_MAX])
                    at += 1
                break
            width = min(2 * width, WIDEST) if spent < room // 8 else BLOCK
        return OutputsPage(found, omitted, at if at < view.outputs_count else None)

    async def values(self, given: Mapping[str, Any], room: int) -> dict[str, msgspec.Raw]:
        """As many of the values as have room, in order; one that has none is left out."""
        await self._values.measure(large_in(given.values()))
        kept: dict[str, Any] = {}
        for name, value in given.items():
            encoded = self._values.light(value)
            size = self._named_size(name, encoded)
            if size <= room:
                kept[name] = encoded
                room -= size
        raw = await self._read(list(kept.values()), 0)
        return dict(zip(kept, raw, strict=True))

    async def _fitting(
        self, entries: Sequence[Output], room: int
    ) -> tuple[list[tuple[str, msgspec.Raw]], int]:
        """The first of the outputs that have room, and how much of it they take."""
        await self._values.measure(large_in(value for _, value in entries))
        fitting: list[tuple[str, Any]] = []
        spent = 0
        for name, value in entries:
            encoded = self._values.light(value)
            size = self._named_size(name, encoded)
            if spent + size > room:
                break
            fitting.append((name, encoded))
            spent += size
        raw = await self._read([value for _, value in fitting], spent)
        return [(name, value) for (name, _), value in zip(fitting, raw, strict=True)], spent

    async def _some(self, numbers: range, room: int, *, is_first: bool) -> tuple[list[Shown], int]:
        drafts, light = await self._drafts(numbers, room, is_first=is_first)
        if light > request_limits.RUN_LIGHT_BYTES:
            await self._permit.take()
        await self._read_results(drafts)
        for draft in drafts:
            draft.large = large_in((*draft.data.values(), *_yielded(draft)))
        await self._values.measure(set().union(*(draft.large for draft in drafts)))
        full = [self._full_size(draft) for draft in drafts]
        drafts = drafts[: _count(full, room, is_first=is_first)]
        spent = sum(full[: len(drafts)])
        omitted: list[str] = []
        if spent > room:
            [alone] = drafts
            omitted = self._leave_out(alone, room)
        return await self._shown(drafts, spent, omitted), spent

    async def _drafts(
        self, numbers: range, room: int, *, is_first: bool
    ) -> tuple[list[Draft], int]:
        """As many as have room without their large values, and how much of it they take."""
        drafts: list[Draft] = []
        light = 0
        for execution, result in await self._found(numbers):
            draft = self._draft(execution, result)
            size = self._light_size(draft)
            if light + size > room and (drafts or not is_first):
                break
            drafts.append(draft)
            light += size
        return drafts, light

    async def _found(self, numbers: range) -> list[tuple[Execution, Place | None]]:
        view = self._view
        here = view.run.executions
        gone: Mapping[int, Found] = {}
        if not all(number in here for number in numbers):
            gone = await self._views.finished(view, numbers)
        found: list[tuple[Execution, Place | None]] = []
        for number in numbers:
            if number in here:
                found.append((here[number], view.results.get(number)))
            elif number in gone:
                found.append((gone[number].execution, gone[number].result))
            else:
                raise CheckpointsGone
        return found

    def _draft(self, execution: Execution, result: Place | None) -> Draft:
        """What is known of the execution before large values are read."""
        node, given = execution.node.node, self._view.without_loaded(execution.given)
        told = _told_size(execution)
        if execution.status is RunStatus.INCOMPLETE:
            return Draft(execution, result, told, self._light(given), seen=[])
        seen = {p: v for p, v in given.items() if type(v) is Large and not node.takes_unseen(p)}
        data, _ = node.prepare({pin: v for pin, v in given.items() if pin not in seen})
        light = self._light({**data, **seen} if seen else data)
        return Draft(execution, result, told, light, seen=list(seen.values()))

    def _light(self, data: Mapping[str, Any]) -> dict[str, Any]:
        light = self._values.light
        return {pin: light(value) for pin, value in data.items()}

    async def _read_results(self, drafts: Sequence[Draft]) -> None:
        places = [draft.result for draft in drafts if draft.result is not None]
        events = await results_at(self._log, places) if places else {}
        light = self._values.light
        for draft in drafts:
            if draft.result is not None:
                event = events[draft.result]
                draft.outputs = [(n, light(v)) for n, v in event.outputs if v is not None]
                if isinstance(event, NodeFailed):
                    draft.outputs.append((ERROR_PIN, light(event.error)))

    async def _shown(
        self, drafts: Sequence[Draft], spent: int, omitted: Sequence[str]
    ) -> list[Shown]:
        if spent > request_limits.RUN_LIGHT_BYTES:
            await self._permit.take()
        values = self._values
        if not any(draft.large for draft in drafts):
            return [Shown(d.execution, d.data, d.outputs, list(omitted)) for d in drafts]
        await values.read(v for d in drafts for v in (*d.data.values(), *_yielded(d)))
        shown = []
        for draft in drafts:
            if draft.seen and not omitted and not any(map(values.is_referred, draft.seen)):
                self._prepare_whole(draft)
            data = {pin: values.shown(value) for pin, value in draft.data.items()}
            outputs = [(name, values.shown(value)) for name, value in draft.outputs]
            shown.append(Shown(draft.execution, data, outputs, list(omitted)))
        return shown

    def _prepare_whole(self, draft: Draft) -> None:
        """Make the inputs what they were to the node, now that those are here that it looked at."""
        node = draft.execution.node.node
        given = {
            pin: self._values.whole(value)
            if type(value) is Large and not node.takes_unseen(pin)
            else value
            for pin, value in draft.execution.given.items()
        }
        draft.data = self._light(node.prepare(given)[0])

    async def _read(self, values: Sequence[Any], spent: int) -> list[msgspec.Raw]:
        if spent > request_limits.RUN_LIGHT_BYTES:
            await self._permit.take()
        await self._values.read(values)
        return [self._values.shown(value) for value in values]

    def _light_size(self, draft: Draft) -> int:
        """Without large values, and with its result as the log has it."""
        size = draft.told if draft.result is None else draft.told + draft.result.bytes
        for value in draft.data.values():
            if type(value) is not Large:
                size += len(value)
        return size

    def _full_size(self, draft: Draft) -> int:
        size, named_size = draft.told, self._named_size
        for name, value in draft.data.items():
            size += named_size(name, value)
        for name, value in draft.outputs:
            size += named_size(name, value)
        return size

    def _named_size(self, name: str, value: Any) -> int:
        size = self._names.get(name)
        if size is None:
            size = self._names[name] = _text_size(name)
        return size + (self._values.size(value) if type(value) is Large else len(value))

    def _leave_out(self, alone: Draft, room: int) -> list[str]:
        """Take from an execution what there is no room for, inputs before outputs."""
        room -= alone.told
        omitted = []
        outputs, alone.outputs = alone.outputs, []
        data, alone.data = alone.data, {}
        for name, value in outputs:
            size = self._named_size(name, value)
            if size > room:
                omitted.append(name)
            else:
                alone.outputs.append((name, value))
                room -= size
        for pin, value in data.items():
            size = self._named_size(pin, value)
            if size > room:
                omitted.append(pin)
            else:
                alone.data[pin] = value
                room -= size
        return list(dict.fromkeys(omitted))


def _yielded(draft: Draft) -> Iterable[Any]:
    return (value for _, value in draft.outputs)


def _told_size(execution: Execution) -> int:
    """What is told of it beside its values."""
    asked, decided = execution.asked, execution.decided
    size = EXECUTION_BYTES
    if execution.error is not None:
        size += _text_size(execution.error)
    if asked is not None:
        size += _text_size(asked.name)
    if decided is not None:
        size += _text_size(decided.message)
    return size


def _text_size(text: str) -> int:
    return len(_encode(text))


def _count(sizes: Sequence[int], room: int, *, is_first: bool) -> int:
    """How many have room; the first one of a page always does."""
    spent = 0
    for count, size in enumerate(sizes):
        spent += size
        if spent > room and not (is_first and count == 0):
            return count
    return len(sizes)


def _entry(gone: Mapping[int, Any], place: int) -> Output:
    output = gone.get(place)
    if output is None:
        raise CheckpointsGone
    return output.name, output.value
