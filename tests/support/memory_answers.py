"""An AnswerLog in memory, for HTTP tests: answers alone, and it can be away."""

from collections.abc import Mapping, Sequence

import orjson

from server.core.errors import HistoryUnavailable
from server.storage.protocol import AnalyticsBatch


class MemoryAnswers:
    def __init__(self) -> None:
        self.answers: list[dict[str, object]] = []
        self.events: list[dict[str, object]] = []
        self.erased: list[str] = []
        self.away = False

    async def add(self, rows: Sequence[bytes]) -> None:
        self._check()
        self.answers += [{"place": f"{len(self.answers) + n}-0"} | orjson.loads(row) for n, row in enumerate(rows)]

    async def claim(self, owner: str, seconds: int) -> bool:
        self._check()
        return True

    async def since(self, position: Mapping[str, str]) -> AnalyticsBatch:
        self._check()
        parts = self.answers, self.events, self.erased
        begin = [int(position.get(name, 0)) for name in ("answers", "events", "erased")]
        reached = dict(zip(("answers", "events", "erased"), (str(len(part)) for part in parts), strict=True))
        answers, events, erased = (part[first:] for part, first in zip(parts, begin, strict=True))
        return AnalyticsBatch(reached, answers, events, tuple(map(str, erased)), whole=True)

    async def trim(self, position: Mapping[str, str]) -> None:
        self._check()

    async def close(self) -> None:
        pass

    def _check(self) -> None:
        if self.away:
            raise HistoryUnavailable("Redis failed: the test took it away")
