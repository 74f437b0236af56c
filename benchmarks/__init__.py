"""The tape against backprop by hand: `python -m benchmarks --help`.

Contenders run on one core. Most libraries read how many threads they may start when they are
imported, so the limits are set before any of them is; JAX's own pool heeds none of them, so the
process is pinned too, before JAX is imported (pinning.py). A process in which ALL_CORES is set is
for the table in which everybody has all of them.
"""

import os

ALL_CORES = "TINYGRAD_DIGITS_BENCHMARK_CORES"
"""The environment variable that lists the cores to use, instead of one."""

if ALL_CORES not in os.environ:
    os.environ.update(
        dict.fromkeys(
            (
                "OPENBLAS_NUM_THREADS",
                "MKL_NUM_THREADS",
                "OMP_NUM_THREADS",
                "VECLIB_MAXIMUM_THREADS",
                "TORCHINDUCTOR_COMPILE_THREADS",
            ),
            "1",
        ),
        XLA_FLAGS="--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
        NPROC="1",  # the size of JAX's own thread pool
    )
