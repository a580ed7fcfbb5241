"""How many tiles a frame should be cut into, from the quality of the link."""

from dataclasses import dataclass

from intradp_ros.planning.link import LinkEstimate

FIRST_TILE_SHARE = 0.1
MESSAGE_COST_SHARE = 0.05
# A new count has to differ by this factor: a figure that trembles does not change the plan.
HYSTERESIS = 1.25


@dataclass(frozen=True)
class Choice:
    """A tile count and the figures that led to it, for people."""

    tile_count: int
    reason: str


def choose(link: LinkEstimate, current: int, largest: int = 64) -> Choice:
    """
    Choose the tile count for frames like the last one.

    Two wishes: the first tile arrives within a tenth of the frame's transfer time (so that the
    edge starts early), and the cost of the messages stays below 5 % of it. Where they contradict
    each other the second wins: overhead is paid for sure, an early start only may help.

    :param current: count in use; kept when nothing is known of the link or the change is small.
    """
    if not link.goodput or not link.frame_bytes:
        return Choice(current, 'no acknowledged frame yet')
    transfer = link.frame_bytes / link.goodput
    wanted = round(1 / FIRST_TILE_SHARE)
    affordable = int(MESSAGE_COST_SHARE * transfer / max(link.message_cost, 1e-6))
    count = max(1, min(wanted, affordable, largest))
    reason = (f'{link.frame_bytes} bytes at {link.goodput / 1e6:.2f} MB/s take '
              f'{transfer * 1e3:.1f} ms; a message costs {link.message_cost * 1e3:.2f} ms, so at '
              f'most {max(1, affordable)} tiles stay under {MESSAGE_COST_SHARE:.0%}')
    if max(count, current) <= HYSTERESIS * min(count, current):
        return Choice(current, reason + f'; {count} is close to {current}')
    return Choice(count, reason)
