"""Training by several processes: `group` has the ranks and their collectives, `fsdp` the sharding of weights."""

from trainer.distributed.group import SINGLE_PROCESS, ProcessGroup, init_process_group
from trainer.distributed.shard_range import ShardRange

__all__ = ["SINGLE_PROCESS", "ProcessGroup", "ShardRange", "init_process_group"]
