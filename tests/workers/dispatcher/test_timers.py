"""One timer a name, the earliest first."""

from __future__ import annotations

import random

from workers.dispatcher.timers import SLACK, Timers


def test_timers_go_off_in_order_and_once() -> None:
    timers = Timers()
    for name, moment in (("c", 3.0), ("a", 1.0), ("b", 2.0)):
        timers.set(name, moment)
    assert timers.first == 1.0
    assert timers.take_due(0.9) == []
    assert timers.take_due(2.0) == ["a", "b"]
    assert timers.take_due(2.0) == []
    assert timers.first == 3.0


def test_a_later_setting_replaces_an_earlier_one() -> None:
    timers = Timers()
    for moment in (5.0, 1.0, 9.0, 5.0):
        timers.set("a", moment)
    assert timers.take_due(4.9) == []
    assert timers.take_due(9.0) == ["a"]
    assert timers.first is None


def test_a_cancelled_alarm_stays_silent() -> None:
    timers = Timers()
    timers.set("a", 1.0)
    timers.set("b", 2.0)
    timers.cancel("a")
    timers.cancel("nobody")
    assert timers.first == 2.0
    assert timers.take_due(9.0) == ["b"]


def test_timers_agree_with_a_sorted_list_and_keep_nothing_that_is_over() -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    timers, model = Timers(), dict[str, float]()
    for now in range(5_000):
        name = f"run {chance.randrange(50)}"
        if chance.random() < 0.7:
            model[name] = now + chance.choice((1, 10, 100_000))
            timers.set(name, model[name])
        else:
            model.pop(name, None)
            timers.cancel(name)
        due = sorted((moment, name) for name, moment in model.items() if moment <= now)
        for _, name in due:
            del model[name]
        assert timers.take_due(now) == [name for _, name in due]
        assert timers.first == min(model.values(), default=None)
        assert len(timers._heap) <= 2 * len(model) + SLACK
