"""
What the device's board draws, from sensors that Linux shows in sysfs.

Two kinds. INA3221 chips, as on Jetson boards, give the watts of a rail now: they are sampled and
integrated. RAPL, of Intel and AMD processors, counts joules itself. Kernel documentation:
hwmon/ina3221 (in1..3 in mV, curr1..3 in mA), power/powercap and ABI/testing/sysfs-class-powercap
(energy_uj, max_energy_range_uj). NVIDIA's kernels before Linux 5 have a driver of their own for
the chip, ina3221x, which shows it through iio: rail_name_N and in_powerN_input in mW.
"""

import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

# Rails that carry all that the board draws; the others lie behind them.
INPUT_RAILS = {'VDD_IN', 'POM_5V_IN'}


@dataclass(frozen=True)
class Rail:
    """A supply rail: the product of the numbers in `files`, times `scale`, is watts."""

    name: str
    files: tuple[Path, ...]
    scale: float

    def watts(self) -> float:
        """Read it; raises OSError or ValueError when it cannot be read now."""
        return prod(_number(file) for file in self.files) * self.scale


@dataclass(frozen=True)
class Counter:
    """A counter of microjoules that begins again at 0 after `range`."""

    name: str
    file: Path
    range: int

    def microjoules(self) -> int:
        """Read it; raises OSError or ValueError when it cannot be read now."""
        return _number(self.file)

    def between(self, before: int, after: int) -> float:
        """Joules from one reading to a later one, less than `range` apart."""
        return (after - before if after >= before else after - before + self.range) / 1e6


def find_sensors(root: str | Path = '/sys') -> tuple[Rail, ...] | tuple[Counter, ...]:
    """
    Find what can be read of the whole board, or else of the processor; () when there is nothing.

    Rails or counters whose sum counts nothing twice. RAPL can mostly be read by root alone.
    """
    rails = [*_hwmon_rails(Path(root)), *_iio_rails(Path(root))]
    whole = [r for r in rails if r.name.upper() in INPUT_RAILS]
    return tuple(whole or rails) or tuple(_counters(Path(root)))


class EnergyMeter:
    """Joules between two looks. Rails are sampled in a thread of their own until `close`."""

    def __init__(self, root: str | Path = '/sys', period: float = 0.02,
                 clock: Callable[[], float] = time.monotonic):
        """
        Find the sensors and begin to measure.

        :param period: seconds between two samples of rails; 0 for none but those of `joules`.
        """
        self.sensors: Sequence[Rail | Counter] = find_sensors(root)
        self._clock, self._lock, self._stop = clock, threading.Lock(), threading.Event()
        self._before: dict[Rail | Counter, tuple[float, float]] = {}
        self._joules = 0.0
        self.sample()
        self._thread: threading.Thread | None = None
        if period and any(isinstance(s, Rail) for s in self.sensors):
            self._thread = threading.Thread(target=self._run, args=(period,), daemon=True,
                                            name='energy meter')
            self._thread.start()

    def joules(self) -> float | None:
        """Joules since the last call (the first: since the start); None without a sensor."""
        if not self.sensors:
            return None
        self.sample()
        with self._lock:
            joules, self._joules = self._joules, 0.0
        return joules

    def sample(self) -> None:
        """Read all sensors and add what they drew since they were read last."""
        with self._lock:
            for sensor in self.sensors:
                try:
                    if isinstance(sensor, Rail):
                        self._add_rail(sensor, sensor.watts())
                    else:
                        self._add_counter(sensor, sensor.microjoules())
                except (OSError, ValueError):
                    # Busy bus, channel switched off: what it drew is known at the next reading.
                    continue

    def close(self) -> None:
        """End the thread."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _add_rail(self, rail: Rail, watts: float) -> None:
        now = self._clock()
        then, before = self._before.get(rail, (now, watts))
        self._joules += (now - then) * (watts + before) / 2
        self._before[rail] = now, watts

    def _add_counter(self, counter: Counter, count: int) -> None:
        _, before = self._before.get(counter, (0.0, count))
        self._joules += counter.between(int(before), count)
        self._before[counter] = 0.0, count

    def _run(self, period: float) -> None:
        while not self._stop.wait(period):
            self.sample()


def _hwmon_rails(root: Path) -> list[Rail]:
    rails = []
    for folder in sorted(root.glob('bus/i2c/drivers/ina3221*/*/hwmon/hwmon*')):
        # Channels 4 and up are shunt voltages and sums of the first three.
        for n in (1, 2, 3):
            files = folder / f'in{n}_input', folder / f'curr{n}_input'
            rails.append(Rail(_text(folder / f'in{n}_label') or f'{folder.name} {n}', files, 1e-6))
    return [r for r in rails if _readable(r.watts)]


def _iio_rails(root: Path) -> list[Rail]:
    rails = []
    for folder in sorted(root.glob('bus/i2c/drivers/ina3221*/*/iio:device*')):
        for n in range(3):
            name = _text(folder / f'rail_name_{n}') or f'{folder.name} {n}'
            rails.append(Rail(name, (folder / f'in_power{n}_input',), 1e-3))
    return [r for r in rails if _readable(r.watts)]


def _counters(root: Path) -> list[Counter]:
    zones: dict[str, Counter] = {}
    # intel-rapl-mmio shows the same packages again.
    for folder in sorted(root.glob('class/powercap/intel-rapl:*')):
        try:
            size = _number(folder / 'max_energy_range_uj')
        except (OSError, ValueError):
            continue
        counter = Counter(_text(folder / 'name'), folder / 'energy_uj', size)
        if re.fullmatch(r'intel-rapl(:\d+){1,2}', folder.name) and _readable(counter.microjoules):
            zones[folder.name] = counter
    # psys is the whole platform. Else packages, which contain their cores but not their memory.
    platform = [c for c in zones.values() if c.name == 'psys']
    return platform or [c for zone, c in zones.items()
                        if zone.count(':') == 1 or c.name == 'dram']


def _number(file: Path) -> int:
    return int(file.read_text())


def _text(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ''


def _readable(read: Callable[[], float]) -> bool:
    try:
        read()
    except (OSError, ValueError):
        return False
    return True
