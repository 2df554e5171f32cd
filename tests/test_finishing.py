"""Work that comes to its end though whoever waits for it is cancelled."""

import asyncio
import sqlite3
import threading
from typing import Any

import pytest

from synmem.finishing import to_its_end
from synmem.operations.searching.index_file import Worker


def test_what_the_work_returns_or_raises_is_told() -> None:
    async def main() -> None:
        assert await to_its_end(asyncio.sleep(0, "done")) == "done"

        async def failing() -> None:
            await asyncio.sleep(0)
            raise KeyError("its own")

        with pytest.raises(KeyError, match="its own"):
            await to_its_end(failing())

    asyncio.run(main())


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("times", [1, 2, 5])
def test_a_cancellation_is_told_when_the_work_has_ended(times: int, fails: bool) -> None:
    async def main() -> None:
        go_on = asyncio.Event()
        said: list[str] = []

        async def work() -> None:
            await go_on.wait()
            said.append("ended")
            if fails:
                raise ValueError("nobody asks for it any more")

        task = asyncio.ensure_future(to_its_end(work(), hurry=lambda: said.append("hurry")))
        for _ in range(times):
            await asyncio.sleep(0)
            task.cancel()
        for _ in range(5):
            await asyncio.sleep(0)
        assert said == ["hurry"]
        assert not task.done()
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert said == ["hurry", "ended"]

    asyncio.run(main())


def test_work_that_does_not_end_is_cancelled_too() -> None:
    async def main() -> None:
        undone: list[bool] = []

        async def work() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                undone.append(True)

        with pytest.raises(TimeoutError):
            await asyncio.wait_for(to_its_end(work(), within_s=0.05), 0.01)
        assert undone

    asyncio.run(main())


def test_the_thread_of_an_index_is_waited_for_however_often_one_is_cancelled() -> None:
    async def main() -> None:
        entered, leave = threading.Event(), threading.Event()
        left: list[bool] = []

        def work(_: Any) -> None:
            entered.set()
            leave.wait(30)
            left.append(True)

        connection = sqlite3.connect(":memory:", check_same_thread=False)
        task = asyncio.ensure_future(Worker(connection).run(work))
        await asyncio.to_thread(entered.wait, 30)
        for _ in range(3):
            task.cancel()
            await asyncio.sleep(0)
        assert not task.done()
        leave.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert left
        connection.close()

    asyncio.run(main())
