"""Profiles that were measured before, in the user's cache folder."""

import logging
import os
import platform
import re
from collections.abc import Callable
from pathlib import Path

import torch

from intradp_ros.errors import ParameterError
from intradp_ros.model.graph import Graph
from intradp_ros.planning.measure import processor
from intradp_ros.planning.profile import Profile
from intradp_ros.planning.profile_file import load, save

log = logging.getLogger(__name__)
# Seconds: a robot that starts should not wait for more.
QUICK = 3.0


def folder() -> Path:
    """Where profiles are kept: below $XDG_CACHE_HOME, or ~/.cache."""
    # The XDG specification: a path that is not absolute is to be ignored.
    home = os.environ.get('XDG_CACHE_HOME', '')
    return (Path(home) if os.path.isabs(home) else Path.home() / '.cache') / 'intradp_ros' / \
        'profiles'


def cache_file(graph: Graph, model: str, device: str = 'cpu', threads: int = 0) -> Path:
    """Name the file of a model on this machine; `threads` 0 for as many as torch has."""
    unit = device if device != 'cpu' else str(threads or torch.get_num_threads())
    name = '-'.join((model, graph.fingerprint, platform.node(), unit))
    return folder() / f'{re.sub(r"[^A-Za-z0-9_.-]", "_", name)}.json'


def find(graph: Graph, model: str, device: str = 'cpu', threads: int = 0) -> Profile | None:
    """
    Load what was measured of a model on this machine.

    :returns: None when there is nothing, or nothing that holds any more: another processor or
        version of torch, a broken file.
    """
    file = cache_file(graph, model, device, threads)
    if not file.exists():
        return None
    try:
        profile = load(file, graph)
    except ParameterError as error:
        log.warning('measuring again: %s', error)
        return None
    measured_on, here = (profile.processor, profile.torch), (processor(device), torch.__version__)
    if measured_on != here:
        log.warning('measuring again: %s was measured on %s, this is %s', file, measured_on, here)
        return None
    return profile


def keep(profile: Profile, device: str = 'cpu') -> Path:
    """Put a profile where `find` looks; raises ParameterError when it cannot be written."""
    file = cache_file(profile.graph, profile.model, device, profile.threads)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ParameterError(f'cannot make {file.parent}: {error}') from error
    save(profile, file)
    return file


def cached(graph: Graph, model: str, measure: Callable[[], Profile], device: str = 'cpu',
           threads: int = 0) -> Profile:
    """
    Load the profile of a model on this machine, or measure it and keep it.

    :param measure: gives the profile where there is none; give it a budget of about QUICK seconds
        where somebody waits.
    """
    profile = find(graph, model, device, threads)
    if profile is None:
        profile = measure()
        try:
            log.info('kept as %s', keep(profile, device))
        except ParameterError as error:
            log.warning('%s', error)
    return profile
