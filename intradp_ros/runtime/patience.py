"""How long the device waits for a sign of the edge before it goes on alone. Pure."""

# As a multiple of what the sign that is due usually takes, and at least (seconds): an
# acknowledgement of what is in flight is due sooner than an answer, which other robots may delay.
# Who gives up too soon loses little, as the answer still ends the frame where it comes first; but
# with 0.1 s for an acknowledgement 5 of 60 frames of a demo beside a test run were given up.
PATIENCE = 4.0
LEAST_FOR_ACK, LEAST_FOR_ANSWER = 0.2, 0.25


def patience(round_trip: float, bytes_in_flight: float, rate: float, edge_seconds: float) -> float:
    """
    Give the seconds since the last sign of the edge, or since something was first sent after that,
    after which it is not waited for.

    :param round_trip: usual seconds from a send to its acknowledgement.
    :param bytes_in_flight: sent and not acknowledged; with none, the answer is what is due.
    :param rate: bytes a second that the link carries, 0 while that is not known.
    :param edge_seconds: what a frame usually takes on the edge.
    """
    if bytes_in_flight and rate:
        return max(LEAST_FOR_ACK, PATIENCE * (round_trip + bytes_in_flight / rate))
    return max(LEAST_FOR_ANSWER, PATIENCE * (round_trip + edge_seconds))
