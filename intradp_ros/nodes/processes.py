"""
Starts the package's nodes as processes of their own and ends them cleanly; for demo, tests and
benchmarks.
"""

import os
import signal
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

from ament_index_python.packages import get_package_prefix, get_package_share_directory

from intradp_ros.errors import IntraDPError

PACKAGE = 'intradp_ros'


class ProcessError(IntraDPError):
    """A node ended although nobody asked it to."""


def config(name: str) -> Path:
    """Find an installed parameter file."""
    return Path(get_package_share_directory(PACKAGE)) / 'config' / name


def command(node: str, namespace: str, parameter_file: str,
            parameters: dict[str, object] | None = None) -> list[str]:
    """
    Build the command that `ros2 run` and the launch files start too.

    :param parameters: changes of single parameters, by name.
    """
    line = [str(Path(get_package_prefix(PACKAGE)) / 'lib' / PACKAGE / node), '--ros-args',
            '-r', f'__ns:={namespace}', '--params-file', str(config(parameter_file))]
    for name, value in (parameters or {}).items():
        text = f'"{value}"' if isinstance(value, str) else str(value).lower()
        line += ['-p', f'{name}:={text}']
    return line


class Processes:
    """
    A context that ends what it started: SIGINT first, as Ctrl-C does, force only for who
    stays.
    """

    def __init__(self, logs: Path, environment: dict[str, str] | None = None):
        self.running: dict[str, subprocess.Popen] = {}
        self._logs = logs
        self._environment = os.environ | (environment or {})
        logs.mkdir(parents=True, exist_ok=True)

    def start(self, name: str, line: list[str], prefix: Iterable[str] = ()) -> subprocess.Popen:
        """
        Start one process in a session of its own, its output in a log file.

        :param prefix: a command to run it under, such as ('ip', 'netns', 'exec', 'robot').
        """
        with self.log(name).open('ab') as log:
            self.running[name] = subprocess.Popen(
                [*prefix, *line], stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                env=self._environment, start_new_session=True)
        return self.running[name]

    def log(self, name: str) -> Path:
        """Say where a process writes."""
        return self._logs / f'{name}.log'

    def check(self) -> None:
        """Raise ProcessError when a process has ended, with the end of its log."""
        for name, process in self.running.items():
            if process.poll() is not None:
                tail = self.log(name).read_text(errors='replace').splitlines()[-8:]
                raise ProcessError(f'{name} ended with code {process.returncode}; the end of '
                                   f'{self.log(name)}:\n  ' + '\n  '.join(tail))

    def stop(self, name: str, patience: float = 10.0) -> int:
        """End one process; give its exit code (negative: the signal that had to be used)."""
        process = self.running.pop(name)
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)  # one that was stopped could not hear the rest
            process.send_signal(signal.SIGINT)
            try:
                process.wait(patience)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        return process.returncode

    def stop_all(self) -> dict[str, int]:
        """End all processes, at the same time; give their exit codes."""
        for process in self.running.values():
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.send_signal(signal.SIGINT)
        deadline = time.monotonic() + 10
        return {name: self.stop(name, max(0.1, deadline - time.monotonic()))
                for name in list(self.running)}

    def __enter__(self) -> 'Processes':
        return self

    def __exit__(self, *_) -> None:
        self.stop_all()
