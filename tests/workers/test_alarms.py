"""One alarm a name, the earliest first."""

from __future__ import annotations

import random

from workers.dispatcher.alarms import SLACK, Alarms


def test_alarms_go_off_in_order_and_once() -> None:
    alarms = Alarms()
    for name, moment in (("c", 3.0), ("a", 1.0), ("b", 2.0)):
        alarms.set(name, moment)
    assert alarms.first == 1.0
    assert alarms.take_due(0.9) == []
    assert alarms.take_due(2.0) == ["a", "b"]
    assert alarms.take_due(2.0) == []
    assert alarms.first == 3.0


def test_a_later_setting_replaces_an_earlier_one() -> None:
    alarms = Alarms()
    for moment in (5.0, 1.0, 9.0, 5.0):
        alarms.set("a", moment)
    assert alarms.take_due(4.9) == []
    assert alarms.take_due(9.0) == ["a"]
    assert alarms.first is None


def test_a_cancelled_alarm_stays_silent() -> None:
    alarms = Alarms()
    alarms.set("a", 1.0)
    alarms.set("b", 2.0)
    alarms.cancel("a")
    alarms.cancel("nobody")
    assert alarms.first == 2.0
    assert alarms.take_due(9.0) == ["b"]


def test_alarms_agree_with_a_sorted_list_and_keep_nothing_that_is_over() -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    alarms, model = Alarms(), dict[str, float]()
    for now in range(5_000):
        name = f"run {chance.randrange(50)}"
        if chance.random() < 0.7:
            model[name] = now + chance.choice((1, 10, 100_000))
            alarms.set(name, model[name])
        else:
            model.pop(name, None)
            alarms.cancel(name)
        due = sorted((moment, name) for name, moment in model.items() if moment <= now)
        for _, name in due:
            del model[name]
        assert alarms.take_due(now) == [name for _, name in due]
        assert alarms.first == min(model.values(), default=None)
        assert len(alarms._heap) <= 2 * len(model) + SLACK
