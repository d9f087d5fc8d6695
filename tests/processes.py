"""Scripts that tests run in a process of their own."""

import os
import resource
import signal
import subprocess
import sys
from contextlib import contextmanager


def run_script(script, timeout=60, cwd=None, **environment):
    """Run a script, and return what it printed; the time is a guard against one that hangs."""
    return run_command([sys.executable, "-c", script], timeout, cwd, **environment)


def run_command(command, timeout=60, cwd=None, **environment):
    """Run a command, and return what it printed; the time is a guard against one that hangs."""
    # Not the numbers of threads that Dask and others leave.
    surroundings = {n: v for n, v in os.environ.items() if not n.endswith("_NUM_THREADS")}
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**surroundings, **environment},
        cwd=cwd,
        start_new_session=True,
    ) as process:
        try:
            out, errors = process.communicate(timeout=timeout)
        except BaseException:  # most of all TimeoutExpired
            os.killpg(process.pid, signal.SIGKILL)  # its children too
            raise
    assert process.returncode == 0, errors[-3000:]
    return out


@contextmanager
def disk_of(n_bytes):
    """Let no file become longer than this, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
