"""What `intradp doctor` reads from the machine it runs on: sockets, interfaces, cores ..."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from intradp_ros.nodes import middleware

OK, HINT, FAULT = 'ok', 'hint', 'fault'
# Bytes of a 640x480 frame as uint8, sent in one go: what sockets have to hold before the reader
# comes to read.
FRAME_BYTES = 921600
PROFILE = middleware.FILES[0]
PROFILE_CURE = (f'export {PROFILE}=$(ros2 pkg prefix --share intradp_ros)/config/fastdds_wifi.xml '
                f'before starting the nodes')


@dataclass(frozen=True)
class Finding:
    """One line of the report; a `fault` has a cure, and so has a `hint`, which may be ignored."""

    level: str
    subject: str
    text: str
    cure: str = ''


def check(environment: Mapping[str, str], rmw: str, frame_bytes: int = FRAME_BYTES,
          root: Path = Path('/')) -> list[Finding]:
    """
    Look at this machine.

    :param frame_bytes: bytes that a robot sends in one go.
    :param root: of the file system; tests have one of their own.
    """
    return [*_discovery(environment), *_sockets(environment, rmw, frame_bytes, root),
            *_fragments(frame_bytes, root), *_interfaces(environment, rmw, root),
            *_shared_memory(root), *_cores(root)]


def _number(path: Path) -> int | None:
    """Read a number from /proc or /sys; None where this kernel does not have it."""
    try:
        return int(path.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return None


def _discovery(environment: Mapping[str, str]) -> Iterator[Finding]:
    domain = environment.get('ROS_DOMAIN_ID') or '0'
    if domain.isdecimal() and int(domain) > 101:
        yield Finding(HINT, 'domain', f'ROS_DOMAIN_ID={domain}: its ports lie among those that '
                      f'Linux hands out itself', 'export ROS_DOMAIN_ID=N with N from 0 to 101')
    else:
        yield Finding(OK, 'domain', f'ROS_DOMAIN_ID={domain}; the other side needs the same')
    reach = environment.get('ROS_AUTOMATIC_DISCOVERY_RANGE') or 'SUBNET'
    if environment.get('ROS_LOCALHOST_ONLY') == '1':
        yield Finding(HINT, 'discovery', 'ROS_LOCALHOST_ONLY=1: nothing on another machine is '
                      'found', 'unset ROS_LOCALHOST_ONLY, on both sides, if they are two machines')
    elif reach in ('OFF', 'LOCALHOST'):
        yield Finding(FAULT if reach == 'OFF' else HINT, 'discovery',
                      f'ROS_AUTOMATIC_DISCOVERY_RANGE={reach}: no other machine is found',
                      'export ROS_AUTOMATIC_DISCOVERY_RANGE=SUBNET on both sides, or name the '
                      'other one: export ROS_STATIC_PEERS=ADDRESS')
    else:
        peers = environment.get('ROS_STATIC_PEERS')
        yield Finding(OK, 'discovery', f'range {reach}' + (f', peers {peers}' if peers else ''))


def _sockets(environment: Mapping[str, str], rmw: str, frame_bytes: int,
             root: Path) -> Iterator[Finding]:
    core = root / 'proc/sys/net/core'
    for name in ('rmem_max', 'wmem_max'):
        size = _number(core / name)
        if size is not None and size < frame_bytes:
            wanted = max(4 * 2**20, 2 * frame_bytes)
            yield Finding(FAULT, 'sockets', f'net.core.{name} is {size} bytes, a frame has '
                          f'{frame_bytes}: tiles sent in one go are lost before they are read',
                          f'sudo sysctl -w net.core.{name}={wanted} (to keep it: the same line in '
                          f'/etc/sysctl.d/60-intradp.conf); then {PROFILE_CURE}')
        elif size is not None:
            yield Finding(OK, 'sockets', f'net.core.{name} is {size} bytes')
    default = _number(core / 'rmem_default')
    if (rmw.startswith('rmw_fastrtps') and not environment.get(PROFILE)
            and default is not None and default < frame_bytes):
        yield Finding(HINT, 'sockets', f'Fast DDS without a profile takes the default buffer of '
                      f'{default} bytes; a frame has {frame_bytes}', PROFILE_CURE)


def _fragments(frame_bytes: int, root: Path) -> Iterator[Finding]:
    """See https://docs.ros.org/en/kilted/How-To-Guides/DDS-tuning.html for both."""
    ipv4 = root / 'proc/sys/net/ipv4'
    threshold, seconds = _number(ipv4 / 'ipfrag_high_thresh'), _number(ipv4 / 'ipfrag_time')
    if threshold is not None and threshold < 2 * frame_bytes:
        yield Finding(FAULT, 'fragments', f'net.ipv4.ipfrag_high_thresh is {threshold} bytes: too '
                      f'little to put two frames of {frame_bytes} bytes together',
                      'sudo sysctl -w net.ipv4.ipfrag_high_thresh=134217728')
    elif threshold is not None:
        yield Finding(OK, 'fragments', f'net.ipv4.ipfrag_high_thresh is {threshold} bytes')
    if seconds is not None and seconds > 5:
        yield Finding(HINT, 'fragments', f'net.ipv4.ipfrag_time is {seconds} s: on a link that '
                      f'loses packets, halves of messages hold the buffer that long',
                      'sudo sysctl -w net.ipv4.ipfrag_time=3')


def _interfaces(environment: Mapping[str, str], rmw: str, root: Path) -> Iterator[Finding]:
    for folder in sorted((root / 'sys/class/net').glob('*')):
        mtu, flags = _number(folder / 'mtu'), folder / 'operstate'
        if folder.name == 'lo' or mtu is None or not flags.exists():
            continue
        if flags.read_text().strip() not in ('up', 'unknown'):
            continue
        wireless = (folder / 'wireless').exists()
        what = f'{folder.name}{" (Wi-Fi)" if wireless else ""}: MTU {mtu}'
        if mtu < 1500:
            yield Finding(HINT, 'interfaces', f'{what}: a 60 KB message becomes {-(-60000 // mtu)}'
                          f' packets, and is lost with any one of them',
                          'ros2 param set /ROBOT/device_node message_bytes 8000')
        elif wireless and rmw.startswith('rmw_fastrtps') and not environment.get(PROFILE):
            yield Finding(HINT, 'interfaces', f'{what}, and Fast DDS has no profile for it',
                          PROFILE_CURE)
        else:
            yield Finding(OK, 'interfaces', what)


def _shared_memory(root: Path) -> Iterator[Finding]:
    free = middleware.free_shared_memory(root)
    if free is None:
        yield Finding(HINT, 'shared memory', 'there is no /dev/shm: processes of this machine '
                      'talk over sockets', 'in a container: --ipc=host, or a tmpfs at /dev/shm')
        return
    if free < 64 * 2**20:
        yield Finding(FAULT, 'shared memory', f'/dev/shm has {free >> 20} MiB left', 'remove what '
                      'dead processes left (fastdds shm clean), in a container: --shm-size=1g')
    else:
        yield Finding(OK, 'shared memory', f'/dev/shm has {free >> 20} MiB left')


def _cores(root: Path) -> Iterator[Finding]:
    cores = root / 'sys/devices/system/cpu'
    governors = {f.read_text().strip() for f in cores.glob('cpu*/cpufreq/scaling_governor')}
    if 'powersave' in governors:
        yield Finding(HINT, 'cores', 'the CPU governor is powersave', 'sudo cpupower '
                      'frequency-set -g performance (on a Jetson: sudo jetson_clocks)')
    throttled = sum(_number(f) or 0
                    for f in cores.glob('cpu*/thermal_throttle/core_throttle_count'))
    if throttled:
        yield Finding(HINT, 'cores', f'the cores were slowed down {throttled} times because they '
                      f'were hot', 'cool the machine, or give the model fewer threads')
