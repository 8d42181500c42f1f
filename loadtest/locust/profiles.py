"""Load profiles: the number of users by stage, and what they do beside shopping. All end by themselves."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

__all__ = ["PROFILES", "Profile", "Stage"]


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of a profile with a constant number of users.

    users: reached within `users / per_second` seconds, because at most `per_second` start or stop in a second.
    """

    seconds: float
    users: int
    per_second: float = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A load and what is expected under it.

    think_seconds: the mean pause between two steps of a user.
    deadline_ms: the bound for the 99th percentile of the latency.
    merchants: number of users who edit the catalog meanwhile.
    swaps: whether another model is activated every two minutes.
    overloads: whether it asks for more than the server can do; late answers do not fail such a run, wrong ones do.
    server: command-line options of a server that is started for it.
    """

    stages: tuple[Stage, ...]
    think_seconds: float = 1.0
    deadline_ms: float = 1_000.0
    merchants: int = 1
    swaps: bool = False
    overloads: bool = False
    server: tuple[str, ...] = ()

    def scaled(self, users: float, seconds: float | None) -> "Profile":
        """The profile with `users` times the users, and with stages that take `seconds` together where it is given."""
        share = 1.0 if seconds is None else seconds / self.seconds
        stages = (
            Stage(stage.seconds * share, max(2, round(stage.users * users)), stage.per_second * max(1.0, users))
            for stage in self.stages
        )
        return replace(self, stages=tuple(stages))

    @property
    def seconds(self) -> float:
        """The time of all stages together."""
        return sum(stage.seconds for stage in self.stages)

    def stage_at(self, seconds: float) -> int | None:
        """The number of the stage at this time after the start; None after the last one."""
        return next((number for number, (_, end) in enumerate(self.spans()) if seconds < end), None)

    def spans(self) -> Iterator[tuple[float, float]]:
        """The begin and end of every stage, in seconds after the start."""
        begin = 0.0
        for stage in self.stages:
            yield begin, begin + stage.seconds
            begin += stage.seconds


PROFILES = {
    "smoke": Profile(stages=(Stage(20, 8),), think_seconds=0.3),
    "steady": Profile(stages=(Stage(120, 20),)),
    "ramp": Profile(
        stages=tuple(Stage(30, users, 60) for users in (4, 8, 16, 32, 64, 96, 128, 192)),
        think_seconds=0.5,
        overloads=True,
    ),
    "spike": Profile(stages=(Stage(35, 16), Stage(35, 160, 160), Stage(50, 16, 160)), overloads=True),
    "soak": Profile(
        stages=(Stage(1_800, 16),),
        merchants=2,
        swaps=True,
        server=("--event-log-length", "2000"),  # full long before the end, so that its bound is seen too
    ),
}
"""By name. The numbers of users are for two cores; `--scale` multiplies them."""
