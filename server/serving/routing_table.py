"""Which deployments answer at one moment. A change makes a new one; requests keep the deployment they were given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from server.core.refcount import RefCounted
from server.serving.deployment import Deployment
from server.serving.traffic_split import Traffic

__all__ = ["RoutingTable"]


@dataclass(frozen=True, slots=True)
class RoutingTable:
    """current: what is served after a restart too. others: live beside it, by version. traffic: how all of them share
    the requests; None where `current` answers every one."""

    current: RefCounted[Deployment]
    traffic: Traffic | None = None
    others: Mapping[str, RefCounted[Deployment]] = field(default_factory=dict)

    @property
    def live(self) -> list[RefCounted[Deployment]]:
        """All that answer, the current one first."""
        return [self.current, *self.others.values()]

    @property
    def weights(self) -> dict[str, int]:
        """Of every version that answers."""
        return {self.current.value.version: 100} if self.traffic is None else dict(self.traffic.weights)

    def answering(self, key: str | None) -> RefCounted[Deployment]:
        """Who answers requests with this key; while an engine is dead, the others answer for it."""
        dealt = self._dealt(key)
        if dealt.value.engine.alive:
            return dealt
        return next((leased for leased in self.live if leased.value.engine.alive), dealt)

    def without(self, version: str) -> RoutingTable:
        """Its share goes to those that are left."""
        assert self.traffic is not None, "one model cannot leave itself"
        others = {name: leased for name, leased in self.others.items() if name != version}
        return RoutingTable(self.current, self.traffic.without(version), others)

    def replacing(self, old: RefCounted[Deployment], new: RefCounted[Deployment]) -> RoutingTable:
        """With another deployment of the same version in the place of one of these."""
        if old is self.current:
            return replace(self, current=new)
        return replace(self, others={**self.others, new.value.version: new})

    def _dealt(self, key: str | None) -> RefCounted[Deployment]:
        if self.traffic is None or key is None:
            return self.current
        return self.others.get(self.traffic.version_of(key), self.current)
