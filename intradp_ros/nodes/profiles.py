"""The profile of a node's model: from a file, from the cache, or measured now."""

from pathlib import Path

from intradp_ros.model.detector import Detector
from intradp_ros.nodes.message_cost import with_messages
from intradp_ros.nodes.parameters import Parameter
from intradp_ros.planning import profile_cache
from intradp_ros.planning.measure import measure
from intradp_ros.planning.profile import Profile
from intradp_ros.planning.profile_file import load
from intradp_ros.scenes.scene import scene

PROFILE = Parameter('profile', '', 'Profile of the model on this machine (`intradp profile`); '
                    "empty: the one in the user's cache folder, measured at the first "
                    'activation that needs it')


def profile_of(logger, detector: Detector, path: str = '', threads: int = 0) -> Profile:
    """
    Give the profile that plans are made with; takes some seconds when it has to be measured.

    :param logger: of the node: says where the profile comes from.
    :param path: of a file; '' for the cache.
    :param threads: torch's threads for the model; 0 for as many as torch has.
    :raises ParameterError: when the file at `path` cannot be read or is of another model.
    """
    if path:
        profile = load(Path(path).expanduser(), detector.graph)
        logger.info(f'profile {path}: {profile.total * 1e3:.1f} ms on {profile.processor}')
        return profile
    def measured() -> Profile:
        logger.info(f'measuring {detector.name} once, for some seconds (`intradp profile` is more '
                    'exact)')
        image = scene(0).image
        profile = measure(detector.graph, detector.name, image, detector, detector.device,
                          threads, profile_cache.QUICK)
        return with_messages(profile, image, detector, detector.device)

    profile = profile_cache.cached(detector.graph, detector.name, measured, detector.device,
                                   threads)
    logger.info(f'profile of {detector.name}: {profile.total * 1e3:.1f} ms, measured '
                f'{profile.created}')
    return profile
