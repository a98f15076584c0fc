from __future__ import annotations

from runtime.cache import BoundedCache


def kept(cache: BoundedCache[str, int], keys: str) -> str:
    return "".join(key for key in keys if cache.get(key) is not None)


def test_what_was_not_used_for_longest_goes_first() -> None:
    cache: BoundedCache[str, int] = BoundedCache(2)
    for key in "ab":
        cache.put(key, 1)
    cache.get("a")
    cache.put("c", 1)
    assert kept(cache, "abc") == "ac"


def test_entries_weigh_no_more_than_they_may_in_all() -> None:
    cache: BoundedCache[str, int] = BoundedCache(100, 10)
    for key, weight in (("a", 4), ("b", 3), ("c", 3)):
        cache.put(key, 1, weight)
    assert kept(cache, "abc") == "abc"
    cache.put("d", 1, 5)
    assert kept(cache, "abcd") == "cd"


def test_what_alone_weighs_too_much_is_not_kept_and_drives_nothing_out() -> None:
    cache: BoundedCache[str, int] = BoundedCache(100, 10)
    cache.put("a", 1, 10)
    cache.put("b", 1, 11)
    assert kept(cache, "ab") == "a"
    cache.put("a", 2, 11)
    assert kept(cache, "a") == ""


def test_what_is_replaced_or_dropped_weighs_nothing_any_more() -> None:
    cache: BoundedCache[str, int] = BoundedCache(100, 10)
    for weight in (9, 2, 7):
        cache.put("a", weight, weight)
    cache.put("b", 1, 3)
    assert kept(cache, "ab") == "ab"
    cache.drop("a")
    cache.drop("a")
    cache.put("c", 1, 7)
    assert kept(cache, "bc") == "bc"
