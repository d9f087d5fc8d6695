"""Scripts that tests run in a process of their own."""

import os
import signal
import subprocess
import sys


def run_script(script, timeout=60, **environment):
    """Run a script, and return what it printed; the time is a guard against one that hangs."""
    return run_command([sys.executable, "-c", script], timeout, **environment)


def run_command(command, timeout=60, cwd=None, **environment):
    """Run a command, and return what it printed; the time is a guard against one that hangs."""
    environment = {**os.environ, **environment}
    environment.pop("OMP_NUM_THREADS", None)
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=cwd,
        start_new_session=True,
    ) as process:
        try:
            out, errors = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # its children too
            raise
    assert process.returncode == 0, errors[-3000:]
    return out
