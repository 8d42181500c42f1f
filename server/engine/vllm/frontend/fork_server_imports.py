"""What the fork server imports for vLLM's process.

Nothing that starts a thread (pyarrow does), and not numba, which must not be there before vLLM looks for kernels.
"""

import setproctitle
import vllm.v1.engine.core
import vllm.v1.worker.cpu_worker

from server.core.process import gc_freeze

__all__ = ["vllm"]

setproctitle.setproctitle("gemserve: engines are forked from here")  # what is forked can give itself another title
gc_freeze()  # its collector does not touch, and so not copy, what is shared
