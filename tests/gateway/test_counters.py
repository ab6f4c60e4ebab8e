"""Counting without a lock: durations in their buckets, and no label without limit."""

from concurrent.futures import ThreadPoolExecutor

from gateway.counters import OTHER, Histogram, Timed


def test_a_value_falls_into_the_first_bucket_that_holds_it() -> None:
    histogram = Histogram((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 7.0):
        histogram.add(value)
    assert histogram.counts == [2, 1, 1]
    assert histogram.total == 10.0


def test_what_happens_is_counted_by_all_labels_and_timed_by_all_but_the_last() -> None:
    timed = Timed(frozenset({"start", "stop"}), frozenset({"ok", "failed"}))
    timed.add(0.1, "start", "ok")
    timed.add(0.1, "start", "ok")
    timed.add(None, "start", "failed")
    assert {key: tally.count for key, tally in timed.tallies.items()} == {
        ("start", "ok"): 2,
        ("start", "failed"): 1,
    }
    assert sum(timed.durations["start",].counts) == 2


def test_words_of_a_stranger_make_no_rows() -> None:
    timed = Timed(frozenset({"start"}), frozenset({"ok"}))
    for number in range(1000):
        timed.add(0.1, f"word {number}", "ok")
        timed.add(0.1, "start", f"end {number}")
    assert timed.tallies.keys() == {(OTHER, "ok"), ("start", OTHER)}
    assert timed.tallies["start", OTHER].count == 1000


def test_with_threads_nothing_is_lost() -> None:
    timed = Timed(frozenset({"start"}))

    def add_many() -> None:
        for _ in range(5000):
            timed.add(0.001, "start")

    with ThreadPoolExecutor(8) as pool:
        for _ in range(8):
            pool.submit(add_many)
    assert timed.tallies["start",].count == 40_000
