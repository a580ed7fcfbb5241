"""Standard messages stay standard: type hashes, and another DDS implementation that reads them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ament_index_python.packages import get_package_share_directory

# Type hashes of vision_msgs 4.1.1 as it is released.
HASHES = {
    'Detection2DArray': '214274120007f4a683866481336b70310268cfa107aebe9d594a6acf75bda968',
    'Detection2D': '0d12b69df5c593b3455b7346fac8205437a7d4bcb09b9e0e0b2dde787ded38ea',
    'BoundingBox2D': '008eacbb0cf8f26e83795547bed013eec3675485ef386ec056d80eaaf1c1ce2f',
    'LabelInfo': '3d37df4015cdf660cc851c51897f2acd957e1ca6205ba0a99aebffb9406b0783',
    'VisionInfo': '95d3116a17484ad91c9a2686e1d54890bbfc3ff6c6a2de137738c4950d45d284',
}

# Cyclone DDS with a description of its own of the standard messages (fields of vision_msgs 4.1.1).
CYCLONE = """
import json, sys, time
from dataclasses import dataclass
from cyclonedds.core import Policy, Qos
from cyclonedds.domain import DomainParticipant
from cyclonedds.idl import IdlStruct
from cyclonedds.idl.types import array, float64, int32, sequence, uint32
from cyclonedds.sub import DataReader
from cyclonedds.topic import Topic

def struct(name, package='vision_msgs'):
    return dict(typename=f'{package}::msg::dds_::{name}_')

@dataclass
class Time(IdlStruct, **struct('Time', 'builtin_interfaces')):
    sec: int32
    nanosec: uint32
@dataclass
class Header(IdlStruct, **struct('Header', 'std_msgs')):
    stamp: Time
    frame_id: str
@dataclass
class Hypothesis(IdlStruct, **struct('ObjectHypothesis')):
    class_id: str
    score: float64
@dataclass
class Point(IdlStruct, **struct('Point', 'geometry_msgs')):
    x: float64
    y: float64
    z: float64
@dataclass
class Quaternion(IdlStruct, **struct('Quaternion', 'geometry_msgs')):
    x: float64
    y: float64
    z: float64
    w: float64
@dataclass
class Pose(IdlStruct, **struct('Pose', 'geometry_msgs')):
    position: Point
    orientation: Quaternion
@dataclass
class PoseWithCovariance(IdlStruct, **struct('PoseWithCovariance', 'geometry_msgs')):
    pose: Pose
    covariance: array[float64, 36]
@dataclass
class HypothesisWithPose(IdlStruct, **struct('ObjectHypothesisWithPose')):
    hypothesis: Hypothesis
    pose: PoseWithCovariance
@dataclass
class Point2D(IdlStruct, **struct('Point2D')):
    x: float64
    y: float64
@dataclass
class Pose2D(IdlStruct, **struct('Pose2D')):
    position: Point2D
    theta: float64
@dataclass
class BoundingBox2D(IdlStruct, **struct('BoundingBox2D')):
    center: Pose2D
    size_x: float64
    size_y: float64
@dataclass
class Detection2D(IdlStruct, **struct('Detection2D')):
    header: Header
    results: sequence[HypothesisWithPose]
    bbox: BoundingBox2D
    id: str
@dataclass
class Detection2DArray(IdlStruct, **struct('Detection2DArray')):
    header: Header
    detections: sequence[Detection2D]

participant = DomainParticipant(int(sys.argv[1]))
topic = Topic(participant, 'rt/robot/detections', Detection2DArray)
reader = DataReader(participant, topic, qos=Qos(Policy.Reliability.Reliable(10**9)))
print('listening', flush=True)
until = time.monotonic() + 40
while time.monotonic() < until:
    for sample in reader.take():
        if not isinstance(sample, Detection2DArray):
            continue
        print(json.dumps({
            'stamp': [sample.header.stamp.sec, sample.header.stamp.nanosec],
            'frame_id': sample.header.frame_id,
            'objects': [[d.results[0].hypothesis.class_id, d.results[0].hypothesis.score,
                         d.bbox.center.position.x, d.bbox.center.position.y, d.bbox.size_x,
                         d.bbox.size_y] for d in sample.detections]}), flush=True)
        sys.exit(0)
    time.sleep(0.05)
sys.exit(3)
"""

# Discovery on this machine only, as ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST has it on our side.
LOOPBACK = """<CycloneDDS><Domain><General>
<Interfaces><NetworkInterface name="lo" multicast="false"/></Interfaces>
<AllowMulticast>false</AllowMulticast></General>
<Discovery><ParticipantIndex>auto</ParticipantIndex>
<Peers><Peer address="127.0.0.1"/></Peers></Discovery></Domain></CycloneDDS>"""

# Cyclone DDS 11 asks for the type object that Fast DDS 3.2 announces, cannot read the answer, and
# then takes the two for strangers. Without the announcement it compares names.
NO_TYPE_OBJECTS = """<dds xmlns="http://www.eprosima.com"><profiles>
<participant profile_name="plain" is_default_profile="true"><rtps><propertiesPolicy><properties>
<property><name>fastdds.type_propagation</name><value>disabled</value></property>
</properties></propertiesPolicy></rtps></participant></profiles></dds>"""

PUBLISHER = """
import sys, time
import numpy as np
import rclpy
from vision_msgs.msg import Detection2DArray
from intradp_ros.model.detector import Detections
from intradp_ros.nodes import conversions, qos
from intradp_ros.runtime.wire import Stamp

rclpy.init()
node = rclpy.create_node('publisher', namespace='robot')
publisher = node.create_publisher(Detection2DArray, 'detections', qos.DETECTIONS)
with np.load(sys.argv[1]) as file:
    found = Detections(file['boxes'], file['scores'], file['labels'])
header = conversions.header_from(Stamp(12, 34, 'front_camera'))
while True:
    publisher.publish(conversions.message_from_detections(found, header))
    time.sleep(0.2)
"""


@pytest.mark.parametrize('name', HASHES)
def test_type_hashes_of_vision_msgs(name):
    file = Path(get_package_share_directory('vision_msgs')) / 'msg' / f'{name}.json'
    hashes = {h['type_name']: h['hash_string']
              for h in json.loads(file.read_text())['type_hashes']}
    assert hashes[f'vision_msgs/msg/{name}'] == f'RIHS01_{HASHES[name]}'


def test_cyclone_dds_reads_our_detections(domain, detector, photograph, tmp_path):
    pytest.importorskip('cyclonedds', reason='cyclonedds is not installed')
    found = detector.detect(photograph)
    assert len(found) > 1
    (tmp_path / 'profile.xml').write_text(NO_TYPE_OBJECTS)
    np.savez(tmp_path / 'found.npz', boxes=found.boxes, scores=found.scores, labels=found.labels)
    publisher = subprocess.Popen(
        [sys.executable, '-c', PUBLISHER, str(tmp_path / 'found.npz')],
        env=os.environ | {'FASTDDS_DEFAULT_PROFILES_FILE': str(tmp_path / 'profile.xml')})
    try:
        reader = subprocess.run(
            [sys.executable, '-c', CYCLONE, str(domain)], text=True, capture_output=True,
            timeout=60, env=os.environ | {'CYCLONEDDS_URI': LOOPBACK})
    finally:
        publisher.kill()
        publisher.wait()
    assert reader.returncode == 0, reader.stderr
    read = json.loads(reader.stdout.splitlines()[-1])
    assert read['stamp'] == [12, 34] and read['frame_id'] == 'front_camera'
    assert len(read['objects']) == len(found)
    for box, score, label, seen in zip(found.boxes, found.scores, found.labels, read['objects']):
        left, top, right, bottom = box.tolist()
        assert seen == [str(label), float(score), (left + right) / 2, (top + bottom) / 2,
                        right - left, bottom - top]
