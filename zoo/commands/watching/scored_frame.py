"""What every output of `zoo watch` is given."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class ScoredFrame:
    """A frame of a camera with all that was found in it.

    Args:
        camera: Name of the source, shown to people; may hold what a terminal or a page must not be
            given as it is.
        number: Of the frame among those scored, from 0.
        time_sec: Seconds since the source began, by its own clock.
        wall_sec: Seconds since 1970: of a live source when the frame came, of a file when that
            began, and `time_sec`.
        image: uint8 `(height, width, 1 or 3)`, grey or RGB, as the source gave it.
        score: float, or None while the model warms up.
        score_map: float32 `(height', width')`, or None.
        threshold: float in the unit of `score_map`, or None.
        events: Tuple of `zoo.evaluation.events.Event`, those of this frame.

    Example:
        >>> import numpy as np
        >>> image = np.zeros((240, 360, 1), np.uint8)
        >>> ScoredFrame("gate", 0, 0.0, 1.7e9, image, None, None, 0.02, ()).camera
        'gate'
    """

    camera: str
    number: int
    time_sec: float
    wall_sec: float
    image: object
    score: float | None
    score_map: object
    threshold: float | None
    events: tuple
