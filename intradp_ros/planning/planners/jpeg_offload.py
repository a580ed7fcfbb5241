"""
Offload of a JPEG: what people do where pixels may be lossy, and so the rival to beat.

As `offload`, with a compressed input. The detections are those of the decoded JPEG, not of the
camera's pixels, so the plan is marked inexact.
"""

from dataclasses import replace

from intradp_ros.planning import ways
from intradp_ros.planning.link import Link
from intradp_ros.planning.plan import Encoding, Objective, Plan, Setup

# For setups that bring no JPEG of their own. OpenCV's encoder at quality 90 on the demo's eleven
# photographs at 640x480, one thread of an x86 server: medians. The ratio ranged from 0.05 to 0.14
# (0.07 to 0.18 at 224x224); a robot's processor may take several times as long.
JPEG = Encoding('jpeg', ratio=0.08, encode=0.8e-9, decode=1.0e-9, lossless=False)


def plan(setup: Setup, link: Link, objective: Objective) -> Plan:
    """Send a JPEG, by the setup's own figures where its encoding is one."""
    encoding = setup.encoding if setup.encoding.name.startswith('jpeg') else JPEG
    offload = ways.sequential(replace(setup, encoding=encoding), (), 'jpeg_offload')
    return replace(offload, exact=encoding.lossless)
