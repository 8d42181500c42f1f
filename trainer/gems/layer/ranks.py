"""How many directions each subspace of a weight has, of those that the weight has room for."""

from __future__ import annotations

from collections.abc import Sequence

from trainer.config.gems import GemsConfig
from trainer.core.errors import SettingsError
from trainer.gems.stats import SubspaceName

__all__ = ["ranks_of"]


def ranks_of(
    config: GemsConfig, name: str, shape: Sequence[int], *, room: int, protected: bool
) -> dict[SubspaceName, int]:
    """The rank of each subspace of a weight, the shared one first.

    name: the layer's name, for messages.
    shape: of the weight.
    room: how many directions there are: the weight's shorter side, less what a null space protects of that.
    protected: whether a null space protects some of the shorter side.

    Raises SettingsError for a rank above `room`.
    """

    def rank_of(setting: str, rank: int | float) -> int:
        if isinstance(rank, float):
            return max(1, int(rank * room))
        if rank > room:
            less = ", less what the null space protects of its shorter side" if protected else ""
            raise SettingsError(
                f"gems.{setting} is {rank}, but {name} {list(shape)} has room for {room}{less}: "
                f"set it to {room} or less, or to a share such as 0.5"
            )
        return rank

    shared = rank_of("rank", config.rank)
    if not config.decomposition:
        return {"shared": shared}
    own = max(1, shared // 2) if config.task_rank is None else rank_of("task_rank", config.task_rank)
    if config.complementary:
        own = min(own, room - shared)
    return {"shared": shared, "search": own, "recommendation": own} if own else {"shared": shared}
