"""
Network namespaces: the edge with a bridge, and each robot with one link to it.

    robot namespace            edge namespace
    radio 10.77.0.(2+k)  ===   robotk - bridge 10.77.0.1

Nothing here touches the machine's own interfaces; the addresses exist in the namespaces only.

Rate: a token bucket (tc tbf) on what leaves at either end. Its burst is two packets or 2 ms at the
rate, whichever is more: a larger one would let a good part of a frame through for nothing, a
smaller one could not keep the rate. Its queue (4 MB) is larger than what the sockets' send
buffers hold, so that a sender that is too fast is made to wait, as by a Wi-Fi driver, and loses
nothing: packets count against their socket's buffer until they have left the queue.

Loss: nftables drops random packets where they come in. Packets are IP fragments of at most 1500
bytes: one that is lost costs the whole datagram.
"""

import json
import os
import signal
from contextlib import suppress

from testbed.shell import BedError, sh

PACKET = 1514
QUEUE = 4_000_000
NETWORK = '10.77.0'


class Link:
    """
    The link of one robot.

    :param robot: namespace of the robot, whose end is the interface `radio`.
    :param edge: namespace of the edge, whose end is the interface `port`.
    """

    def __init__(self, robot: str, edge: str, port: str):
        self._ends = ((robot, 'radio'), (edge, port))
        self.rate = 0.0
        self.loss = 0.0

    def set_rate(self, rate: float) -> None:
        """
        Limit both directions to a number of bytes a second (headers from Ethernet up included).

        What waits in the queues stays there.
        """
        verb, self.rate = 'change' if self.rate else 'add', rate
        for namespace, device in self._ends:
            sh(f'tc -n {namespace} qdisc {verb} dev {device} root handle 1: tbf '
               f'rate {round(8 * rate)} burst {burst(rate)} limit {QUEUE}')

    def set_loss(self, share: float) -> None:
        """Drop this share (0 to 0.9999, in steps of 0.0001) of the packets of both directions."""
        for namespace, device in self._ends:
            with suppress(BedError):  # there is none yet
                sh(f'ip netns exec {namespace} nft delete table netdev loss_{device}')
            if share:
                sh(f'ip netns exec {namespace} nft -f -', f"""
                    table netdev loss_{device} {{
                        chain incoming {{
                            type filter hook ingress device "{device}" priority 0;
                            numgen random mod 10000 < {round(share * 1e4)} counter drop
                        }}
                    }}""")
        self.loss = share

    def set_up(self, up: bool) -> None:
        """Cut the link at the robot's end, or restore it; what waited in its queue is lost."""
        namespace, device = self._ends[0]
        sh(f'ip -n {namespace} link set {device} {"up" if up else "down"}')

    def bytes(self) -> tuple[int, int]:
        """Count what has crossed since the beginning: bytes (up, down), headers included."""
        namespace, device = self._ends[0]
        found = json.loads(sh(f'ip -n {namespace} -s -j link show {device}'))[0]['stats64']
        return found['tx']['bytes'], found['rx']['bytes']


def burst(rate: float) -> int:
    """Bytes that may pass at once at a rate in bytes a second."""
    return max(2 * PACKET, round(rate * 2e-3))


def make(prefix: str, robots: int) -> tuple[str, list[str], list[Link]]:
    """
    Make the namespaces and connect them.

    :param prefix: what the names of the namespaces begin with.
    :returns: the edge's namespace, the robots' namespaces, the robots' links.
    """
    edge = f'{prefix}-edge'
    sh(f'ip netns add {edge}')
    sh(f'ip -n {edge} link set lo up')
    sh(f'ip -n {edge} link add bridge type bridge mcast_snooping 0')
    sh(f'ip -n {edge} address add {NETWORK}.1/24 dev bridge')
    sh(f'ip -n {edge} link set bridge up')
    names, links = [], []
    for number in range(robots):
        robot, port = f'{prefix}-robot{number}', f'robot{number}'
        sh(f'ip netns add {robot}')
        sh(f'ip -n {robot} link set lo up')
        sh(f'ip link add radio netns {robot} type veth peer name {port} netns {edge}')
        sh(f'ip -n {robot} address add {NETWORK}.{2 + number}/24 dev radio')
        sh(f'ip -n {edge} link set {port} master bridge up')
        sh(f'ip -n {robot} link set radio up')
        names.append(robot)
        links.append(Link(robot, edge, port))
    return edge, names, links


def remove(prefix: str) -> None:
    """End what still runs in the namespaces of a prefix, and remove them with all they hold."""
    for namespace in names(prefix):
        for process in sh(f'ip netns pids {namespace}').split():
            with suppress(ProcessLookupError):  # it has just ended by itself
                os.kill(int(process), signal.SIGKILL)
        sh(f'ip netns delete {namespace}')


def names(prefix: str) -> list[str]:
    """Find the namespaces whose names begin with a prefix and a dash."""
    found = [line.split()[0] for line in sh('ip netns list').splitlines() if line]
    return [name for name in found if name.startswith(prefix + '-')]
