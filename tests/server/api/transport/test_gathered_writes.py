import asyncio

from server.api.transport import gathered_writes
from server.api.transport.gathered_writes import GatheredWrites


class Transport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__({"peername": ("10.0.0.1", 1)})
        self.written: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:  # type: ignore[override]
        assert not self.closed
        self.written.append(data)

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    abort = close


def gathered(transport: Transport) -> GatheredWrites:
    return GatheredWrites(transport, asyncio.get_running_loop())


async def test_what_is_written_in_one_turn_goes_out_in_one_piece() -> None:
    writes = gathered(transport := Transport())
    writes.write(b"head")
    writes.write(b"body")
    assert transport.written == []
    await asyncio.sleep(0)
    assert transport.written == [b"headbody"]
    writes.write(b"more")
    await asyncio.sleep(0)
    assert transport.written == [b"headbody", b"more"]


async def test_a_long_answer_is_not_held_back() -> None:
    writes = gathered(transport := Transport())
    long = bytes(gathered_writes.MAX_HELD_BYTES)
    writes.write(b"head")
    writes.write(long)
    assert transport.written == [b"head" + long]
    await asyncio.sleep(0)
    assert len(transport.written) == 1


async def test_closing_writes_what_is_held_and_aborting_does_not() -> None:
    writes = gathered(closed := Transport())
    writes.write(b"last words")
    writes.close()
    assert closed.written == [b"last words"]
    assert closed.closed
    writes = gathered(aborted := Transport())
    writes.write(b"last words")
    writes.abort()
    await asyncio.sleep(0)
    assert aborted.written == []


async def test_the_rest_is_the_transports_own() -> None:
    writes = gathered(Transport())
    assert writes.get_extra_info("peername") == ("10.0.0.1", 1)
    assert not writes.is_closing()
