"""What waits for a socket that lags."""

from typing import Any

from gateway.inbox import LAGGING, MAX_WAITING, OVERFLOW, Inbox


def tick(session: int, number: int) -> dict[str, Any]:
    return {"type": "event", "tick": session, "id": str(number)}


def ending(seq: int) -> dict[str, Any]:
    return {"type": "event", "seq": seq}


def test_a_reader_that_lags_gets_of_each_session_the_newest_tick_and_every_ending_in_order() -> None:
    """E46: a minute of 50 ticks a second"""
    inbox = Inbox()
    for number in range(3000):
        inbox.put(tick(1, number))
        inbox.put(tick(2, number))
        if number % 100 == 0:
            inbox.put(ending(number))
    waiting = list(inbox.messages)
    assert [each["seq"] for each in waiting if "seq" in each] == list(range(0, 3000, 100))
    assert [each for each in waiting if "tick" in each] == [tick(1, 2999), tick(2, 2999)]


def test_a_reader_that_keeps_up_gets_every_tick() -> None:
    inbox = Inbox()
    for number in range(LAGGING):
        inbox.put(tick(1, number))
    assert [each["id"] for each in inbox.messages] == [str(number) for number in range(LAGGING)]


def test_full_of_what_cannot_be_left_out_it_asks_the_reader_to_come_back() -> None:
    inbox = Inbox()
    for seq in range(MAX_WAITING + 1):
        inbox.put(ending(seq))
    assert list(inbox.messages) == [OVERFLOW]
