"""The line in which associations wait for their turn."""

import asyncio

from gateway.common.turns import turns_of
from gateway.dimse.protocol.memory import MemoryReceiver


async def test_one_goes_on_in_each_step_of_the_loop() -> None:
    loop = asyncio.get_running_loop()
    turns = turns_of(loop)
    done: list[tuple[int, str]] = []
    step = [0]

    def again(name: str, times: int) -> None:
        done.append((step[0], name))
        if times > 1:
            turns.wait(lambda: again(name, times - 1))

    for name in ("first", "second", "third"):
        turns.wait(lambda name=name: again(name, 3))  # type: ignore[misc]
    while step[0] < 12:
        step[0] += 1
        await asyncio.sleep(0)
    assert [name for _, name in done] == ["first", "second", "third"] * 3
    assert len({at for at, _ in done}) == 9, "two of them went on in one step"


async def test_every_loop_has_its_own() -> None:
    here = turns_of(asyncio.get_running_loop())
    assert turns_of(asyncio.get_running_loop()) is here

    async def there() -> bool:
        return turns_of(asyncio.get_running_loop()) is here

    assert not await asyncio.to_thread(asyncio.run, there())


def test_tiny_fragments_do_not_cost_an_object_each() -> None:
    receiver = MemoryReceiver()
    for _ in range(100_000):
        receiver.write(memoryview(b"x"))
    assert len(receiver._pieces) <= 3
    assert receiver.finish().view() == b"x" * 100_000
