"""Joules from sysfs trees laid out as the kernel's documentation and Jetson boards have them."""

import os
import threading
import time

import pytest

from intradp_ros.runtime.power import Counter, EnergyMeter, Rail, find_sensors


def tree(root, folder, **files):
    place = root / folder
    place.mkdir(parents=True, exist_ok=True)
    for name, value in files.items():
        (place / name).write_text(f'{value}\n')
    return place


@pytest.fixture
def jetson(tmp_path):
    """Jetson Orin Nano or Xavier NX, Linux 5: VDD_IN feeds the other two rails."""
    return tree(tmp_path, 'bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon3', name='ina3221',
                in1_label='VDD_IN', in1_input=5000, curr1_input=1200,
                in2_label='VDD_CPU_GPU_CV', in2_input=5000, curr2_input=400,
                in3_label='VDD_SOC', in3_input=5000, curr3_input=300,
                in4_input=12, in7_label='sum of shunt voltages', in7_input=19, curr4_input=1900)


def rapl(root, zone, name, joules, size=262143328850):
    return tree(root, f'class/powercap/{zone}', name=name, energy_uj=round(joules * 1e6),
                max_energy_range_uj=size)


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def test_the_input_rail_is_all(jetson, tmp_path):
    (rail,) = find_sensors(tmp_path)
    assert rail.name == 'VDD_IN' and rail.watts() == pytest.approx(6.0)


def test_rails_are_summed_where_none_feeds_the_others(tmp_path):
    # Jetson AGX Orin: two chips, no rail for all; one channel is switched off.
    tree(tmp_path, 'bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon3', in1_label='VDD_GPU_SOC',
         in1_input=19000, curr1_input=200, in2_label='VDD_CPU_CV', in2_input=19000,
         curr2_input=100, in3_label='VIN_SYS_5V0', in3_input=5000, curr3_input=800)
    tree(tmp_path, 'bus/i2c/drivers/ina3221/1-0041/hwmon/hwmon4', in1_label='NC', in1_input=0,
         in2_label='VDDQ_VDD2_1V8AO', in2_input=5000, curr2_input=100)
    found = find_sensors(tmp_path)
    assert [r.name for r in found] == ['VDD_GPU_SOC', 'VDD_CPU_CV', 'VIN_SYS_5V0',
                                       'VDDQ_VDD2_1V8AO']
    assert sum(r.watts() for r in found) == pytest.approx(3.8 + 1.9 + 4.0 + 0.5)


def test_older_jetsons(tmp_path):
    tree(tmp_path, 'bus/i2c/drivers/ina3221x/7-0040/iio:device0', rail_name_0='VDD_IN',
         in_power0_input=4900, rail_name_1='VDD_CPU_GPU_CV', in_power1_input=1100,
         rail_name_2='VDD_SOC', in_power2_input=900)
    (rail,) = find_sensors(tmp_path)
    assert rail.watts() == pytest.approx(4.9)


def test_power_is_integrated(jetson, tmp_path):
    clock = Clock()
    meter = EnergyMeter(tmp_path, period=0, clock=clock)
    clock.now += 2
    assert meter.joules() == pytest.approx(12)
    (jetson / 'curr1_input').write_text('2400\n')
    clock.now += 1
    meter.sample()
    clock.now += 1
    # From 6 W to 12 W in a second, then 12 W for another.
    assert meter.joules() == pytest.approx(9 + 12)
    assert meter.joules() == 0


def test_a_reading_that_fails_is_made_up_for(jetson, tmp_path):
    clock = Clock()
    meter = EnergyMeter(tmp_path, period=0, clock=clock)
    clock.now += 1
    (jetson / 'curr1_input').write_text('')
    assert meter.joules() == 0
    clock.now += 1
    (jetson / 'curr1_input').write_text('1200')
    assert meter.joules() == pytest.approx(12)


def test_rails_are_sampled_in_between(jetson, tmp_path):
    reads = threading.Event()

    class Counting(Clock):
        calls = 0

        def __call__(self):
            self.calls += 1
            if self.calls > 5:
                reads.set()
            return time.monotonic()

    meter = EnergyMeter(tmp_path, period=0.001, clock=Counting())
    assert reads.wait(20)
    assert meter.joules() > 0
    meter.close()
    assert 'energy meter' not in {t.name for t in threading.enumerate()}


def test_packages_and_their_memory(tmp_path):
    rapl(tmp_path, 'intel-rapl:0', 'package-0', 10)
    rapl(tmp_path, 'intel-rapl:0:0', 'core', 4)
    rapl(tmp_path, 'intel-rapl:0:1', 'dram', 2)
    rapl(tmp_path, 'intel-rapl:1', 'package-1', 20)
    rapl(tmp_path, 'intel-rapl-mmio:0', 'package-0', 10)
    tree(tmp_path, 'class/powercap/intel-rapl', enabled=1)
    assert [c.name for c in find_sensors(tmp_path)] == ['package-0', 'dram', 'package-1']
    meter = EnergyMeter(tmp_path)
    rapl(tmp_path, 'intel-rapl:0', 'package-0', 11.5)
    rapl(tmp_path, 'intel-rapl:0:0', 'core', 5)
    rapl(tmp_path, 'intel-rapl:0:1', 'dram', 2.25)
    assert meter.joules() == pytest.approx(1.75)
    rapl(tmp_path, 'intel-rapl:2', 'psys', 50)
    assert [c.name for c in find_sensors(tmp_path)] == ['psys']


def test_counters_wrap_around(tmp_path):
    rapl(tmp_path, 'intel-rapl:0', 'package-0', 262143)
    meter = EnergyMeter(tmp_path)
    rapl(tmp_path, 'intel-rapl:0', 'package-0', 2)
    assert meter.joules() == pytest.approx(262143.328850 - 262143 + 2)
    assert Counter('c', tmp_path, 1000).between(900, 100) == pytest.approx(200e-6)


def test_boards_come_before_processors(jetson, tmp_path):
    rapl(tmp_path, 'intel-rapl:0', 'package-0', 10)
    assert all(isinstance(s, Rail) for s in find_sensors(tmp_path))


@pytest.mark.skipif(os.geteuid() == 0, reason='root reads everything')
def test_counters_of_root_are_none(tmp_path):
    (rapl(tmp_path, 'intel-rapl:0', 'package-0', 1) / 'energy_uj').chmod(0)
    assert EnergyMeter(tmp_path).joules() is None


def test_nothing_to_read(tmp_path):
    tree(tmp_path, 'class/powercap/intel-rapl:0', name='package-0', energy_uj=5)
    tree(tmp_path, 'class/powercap/intel-rapl:1', name='package-1', energy_uj='?',
         max_energy_range_uj=9)
    assert find_sensors(tmp_path) == ()
    assert EnergyMeter(tmp_path).joules() is None
    assert EnergyMeter(tmp_path / 'absent').joules() is None
