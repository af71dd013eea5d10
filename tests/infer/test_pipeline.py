"""Stages: order kept, queues short, errors and stops reach everybody."""

import threading
import time

import pytest

from kouxing.infer.pipeline import Beside, Stopped, ahead, announced, beside, side_by_side


def test_order_is_kept_by_many_workers():
    def slow(number):
        time.sleep(0.002 * (number % 3))
        return number * 2

    assert list(side_by_side(ahead(iter(range(40))), slow, workers=4)) == [2 * n for n in range(40)]


def test_work_beside_tells_what_it_made_or_what_stopped_it() -> None:
    with beside(lambda _: 7) as work:
        assert work.result(lambda *told: None) == 7

    def fails(_: Beside[int]) -> int:
        raise KeyError("lost")

    with pytest.raises(KeyError, match="lost"), beside(fails) as work:
        for _ in range(1000):
            time.sleep(0.01)
            work.check()


def test_work_beside_is_stopped_by_an_error_in_the_block() -> None:
    ends: list[BaseException] = []

    def endless(work: Beside[None]) -> None:
        try:
            while True:
                time.sleep(0.01)
                work.go_on()
        except Stopped as error:
            ends.append(error)
            raise

    with pytest.raises(ValueError, match="enough"), beside(endless):
        raise ValueError("enough")
    assert len(ends) == 1


def test_work_beside_is_told_of_in_the_callers_thread_and_stopped_by_what_that_raises() -> None:
    threads: list[str] = []
    ended = threading.Event()

    def endless(work: Beside[None]) -> None:
        try:
            for done in range(10_000):
                time.sleep(0.01)
                work.tell("listen", done, None)
        finally:
            ended.set()

    def told(stage: str, done: int, total: int | None) -> None:
        threads.append(threading.current_thread().name)
        if len(threads) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), beside(endless) as work:
        work.result(told)
    assert ended.is_set() and set(threads) == {threading.current_thread().name}


def test_items_are_announced_so_many_before_their_turn() -> None:
    told: list[str] = []
    assert list(announced([], told.append, 2)) == [] and list(announced("a", told.append, 2)) == ["a"] and not told
    turns = [(item, "".join(told)) for item in announced("abcde", told.append, 2)]
    assert turns == [("a", "bc"), ("b", "bcd"), ("c", "bcde"), ("d", "bcde"), ("e", "bcde")]


def test_the_reader_is_never_far_behind():
    begun = []

    def items():
        for number in range(1000):
            begun.append(number)
            yield number

    stream = ahead(items(), depth=3)
    assert next(stream) == 0
    time.sleep(0.1)
    assert len(begun) <= 6
    stream.close()


def test_work_under_way_is_bounded():
    lock, under_way, most = threading.Lock(), 0, 0

    def items():
        nonlocal under_way, most
        for number in range(50):
            with lock:
                under_way += 1
                most = max(most, under_way)
            yield number

    for _ in side_by_side(items(), lambda number: number, workers=2, depth=4):
        time.sleep(0.001)
        with lock:
            under_way -= 1
    assert most <= 6


def test_an_error_in_a_stage_is_raised_at_the_end_of_the_line():
    def items():
        yield 1
        raise ValueError("broken source")

    with pytest.raises(ValueError, match="broken source"):
        list(side_by_side(ahead(items()), lambda item: item, workers=2))

    def fail(item):
        raise ValueError("broken stage")

    with pytest.raises(ValueError, match="broken stage"):
        list(side_by_side(ahead(iter(range(100))), fail, workers=2))


def test_closing_stops_the_threads_and_closes_the_source():
    closed = threading.Event()

    def items():
        try:
            number = 0
            while True:
                yield number
                number += 1
        finally:
            closed.set()

    before = threading.active_count()
    source = ahead(items())
    work = side_by_side(source, lambda item: item, workers=2)
    assert next(work) == 0
    work.close()
    assert closed.wait(2)
    assert threading.active_count() == before
