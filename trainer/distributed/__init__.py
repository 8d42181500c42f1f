"""Training by several processes: their group, the collectives between them, and sharded weights (`fsdp`)."""

from trainer.distributed.group import SINGLE_PROCESS, ProcessGroup, init_process_group
from trainer.distributed.shard_range import ShardRange

__all__ = ["SINGLE_PROCESS", "ProcessGroup", "ShardRange", "init_process_group"]
