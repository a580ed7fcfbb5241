"""
What a loss of mAP that users allow may be spent on: lossy codecs, and images divided with a
limited halo.
"""

from collections.abc import Collection, Sequence

# Loss of mAP@[.5:.95] that lossy rows cost the demo detector (README, "The demo detector"), those
# with most bytes first: with less to spend than this they are not used.
CODEC_DROPS = {'jpeg': 0.005, 'jpeg_444': 0.001}
# Likewise for images that are divided with so many rows of halo, the worst share of those measured
# (bench/results/limited_halo.md). Of models that are not here nothing was measured: mode 'auto'
# does not divide their images.
HALO_DROPS = {'demo_detector': ((16, 0.085), (32, 0.04), (64, 0.013), (128, 0.001))}


def allowed_codecs(mode: str, max_map_drop: float) -> tuple[str, ...]:
    """
    Codecs of input rows that a mode by plan may choose from, the one to be had for certain first,
    the one that saves most bytes last.
    """
    if mode == 'jpeg_offload':
        return ('jpeg',)
    if mode != 'auto':
        return ('uint8',)
    return ('uint8', 'zlib', *(c for c, drop in CODEC_DROPS.items() if drop <= max_map_drop))


def compared_codecs(codecs: Sequence[str], known: Collection[str] | None) -> list[str]:
    """
    Choose of the codecs that are allowed those to plan with, the one that saves most bytes first.

    :param known: those that were measured; None for a mode that has no choice.
    """
    found = [codec for codec in reversed(codecs) if known is None or codec in known]
    # Of the lossy ones the smallest serves: they differ in little else.
    lossy = [codec for codec in found if codec in CODEC_DROPS]
    return [codec for codec in found if codec not in lossy[1:]]


def halo_allowed(model: str, map_drop: float) -> int | None:
    """
    Give the least halo (rows of the input) by which dividing an image costs no more than this.

    :param map_drop: loss of mAP@[.5:.95]; with none to spend nothing is divided, as any limited
        halo is inexact.
    """
    if map_drop <= 0:
        return None
    return next((halo for halo, drop in HALO_DROPS.get(model, ()) if drop <= map_drop), None)


def may_divide(mode: str, model: str, halo: int, max_map_drop: float) -> bool:
    """Whether a mode by plan may divide an image with so much halo."""
    least = halo_allowed(model, max_map_drop) if mode == 'auto' else None
    return least is not None and halo >= least
