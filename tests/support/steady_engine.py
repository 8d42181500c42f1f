"""A fake engine whose scores are those of single items, as a model's are."""

from server.engine.protocol import Ranking, RankRequest
from tests.support.fake_engine import FakeEngine
from tests.support.small_shop import RecordingEngine

__all__ = ["SteadyEngine"]


class SteadyEngine(RecordingEngine):
    """Gives a leaf the same score whatever else is wanted, and equal ones in the order of leaves, as a model does."""

    async def rank(self, request: RankRequest) -> Ranking:
        self.requests.append(request)
        size = len(self._index) if request.index_id == 0 else len(self._installed[request.index_id].index)
        every = RankRequest(
            request.prompt,
            size,
            size,
            request.request_id,
            index_id=request.index_id,
            by_level=request.by_level,
            prior=request.prior,
        )
        whole = await FakeEngine.rank(self, every)
        only = await FakeEngine.rank(
            self,
            RankRequest(
                request.prompt,
                size,
                size,
                request.request_id,
                request.deny,
                request.allow,
                request.filter_id,
                request.index_id,
            ),
        )
        wanted = set(only.leaves)
        places = [place for place, leaf in enumerate(whole.leaves) if leaf in wanted]
        places.sort(key=lambda place: (-whole.scores[place], whole.leaves[place]))
        return whole.at(places[: request.k])
