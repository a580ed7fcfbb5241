"""Commands of the machine, and what is missing for them."""

import os
import shutil
import subprocess

from intradp_ros.errors import IntraDPError

# Command and the Debian or Ubuntu package that has it.
TOOLS = {'ip': 'iproute2', 'tc': 'iproute2', 'nft': 'nftables', 'taskset': 'util-linux',
         'nsenter': 'util-linux', 'unshare': 'util-linux', 'mount': 'mount'}


class BedError(IntraDPError):
    """The test bed cannot be made, or a command that changes it failed."""


def require() -> None:
    """
    Look for all that the test bed needs.

    :raises BedError: naming what is missing and what to do about it.
    """
    if os.geteuid() != 0:
        raise BedError('the test bed makes network namespaces and control groups, which only root '
                       'may: call it again with sudo -E')
    missing = sorted({package for tool, package in TOOLS.items() if not shutil.which(tool)})
    if missing:
        raise BedError(f'missing here: apt-get install {" ".join(missing)}')


def sh(line: str, given: str | None = None) -> str:
    """
    Run one command (words split at spaces) and give its output.

    :param given: text for its standard input.
    :raises BedError: when it fails, with what it said.
    """
    done = subprocess.run(line.split(), input=given, capture_output=True, text=True)
    if done.returncode:
        raise BedError(f'"{line}" failed with code {done.returncode}: {done.stderr.strip()}')
    return done.stdout
