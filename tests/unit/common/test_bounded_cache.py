"""What is remembered is bounded in bytes."""

from gateway.common.bounded_cache import ENTRY_BYTES, BoundedCache


def test_the_longest_unused_goes_first() -> None:
    kept: BoundedCache[str, int] = BoundedCache(3 * (100 + ENTRY_BYTES), 1000)
    for number, key in enumerate("abc"):
        kept.put(key, number, 100)
    assert kept.get("a") == 0
    kept.put("d", 3, 100)
    assert (kept.get("a"), kept.get("b"), kept.get("c"), kept.get("d")) == (0, None, 2, 3)
    assert kept.held_bytes == 3 * (100 + ENTRY_BYTES)


def test_what_is_too_large_is_not_kept() -> None:
    kept: BoundedCache[str, int] = BoundedCache(10_000, 1000)
    kept.put("small", 1, 100)
    kept.put("large", 2, 1000)
    assert (kept.get("small"), kept.get("large"), len(kept)) == (1, None, 1)


def test_what_is_put_in_again_counts_once() -> None:
    kept: BoundedCache[str, int] = BoundedCache(10_000, 5000)
    for number in range(100):
        kept.put("a", number, 1000)
    assert (kept.get("a"), kept.held_bytes) == (99, 1000 + ENTRY_BYTES)
    kept.put("a", 100, 6000)
    assert (kept.get("a"), kept.held_bytes) == (None, 0)
