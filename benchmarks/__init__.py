"""The tape against backprop by hand: `python -m benchmarks --help`.

Nothing here uses more than one thread. The libraries read how many they may start when they are
imported, so the limits are set before any of them is.
"""

import os

os.environ.update(
    dict.fromkeys(
        (
            "OPENBLAS_NUM_THREADS",
            "MKL_NUM_THREADS",
            "OMP_NUM_THREADS",
            "VECLIB_MAXIMUM_THREADS",
            "NUMBA_NUM_THREADS",
            "TORCHINDUCTOR_COMPILE_THREADS",
        ),
        "1",
    ),
    XLA_FLAGS="--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    NPROC="1",  # the size of JAX's own thread pool
)
