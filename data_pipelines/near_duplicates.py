"""Videos that show the same, by perceptual hashes of the moments in which most moves.

All videos of a fixed camera look alike, so a hash of pictures would take each for the other. Hashed
is how the picture changes at a moment: the signs of the low frequencies of the difference to a
fifth of a second before (as pHash hashes a picture), and the picture itself beside it. Two videos
show the same where many such moments of both are alike and as far apart in time in the one as in
the other: then one is a copy of the other, or of a part of it, whatever its codec, size, rate or
brightness. Mirror images, and copies played faster, are not found.
"""

import collections
import dataclasses

import numpy as np

# Pictures are hashed at this size, by this many of the lowest frequencies of each direction.
SIDE, FREQUENCIES = 32, 8

# A change is taken over this time: long enough to show in people, the same at any rate of frames.
CHANGE_SEC = 0.2
# A moment is where more moves than within this time around it; so copies share their moments.
AROUND_SEC = 0.2
# In grey levels, in the pixel that changes most: what changes less is noise and codec.
LEAST_CHANGE = 10.0

# Frames held at most to take a change over, and to find the moment among: enough for 300 frames per
# second. A damaged clock may give a million, or none.
_MOST_RECENT, _MOST_AROUND = 64, 128

# Moments kept of a video: those in which most moves. An hour has one every four seconds.
MOST_MOMENTS = 1024

# Of 64 bits, so many differ at most between two copies of a moment; those of different moments
# differ by 32 on average. Pictures are judged more strictly: people who do the same exercise move
# alike.
CHANGE_BITS, PICTURE_BITS = 14, 6
# Moments of two copies are this far apart at most: a frame of ten per second, taken twice.
SAME_SEC = 0.25
# So many must agree, and this share of those that either video has in the time they share. Copies
# of real footage, encoded again at half the size or rate, cut or made brighter, agree in 0.64 and
# more; different videos of one camera in 0.16 at most, or in three or four moments by chance.
LEAST_MOMENTS, LEAST_SHARE = 5, 0.6


@dataclasses.dataclass(frozen=True)
class Signature:
    """The moments of a video.

    Attributes:
        times: float64 `(moments,)` in seconds, rising.
        changes, pictures: uint64 `(moments,)`, hashes.
        length_sec: Length of the video.
    """

    times: np.ndarray
    changes: np.ndarray
    pictures: np.ndarray
    length_sec: float


class Moments:
    """Collects the signature of a video in one pass: `add` each frame, then `signature`."""

    def __init__(self):
        self._recent = collections.deque()  # (time, small picture)
        self._around = collections.deque()  # (time, how much moves, difference, picture)
        self._kept, self._last_sec = [], 0.0
        self._least = 0.0  # of how much must move, once there are too many moments

    def add(self, time_sec, frame):
        """Takes the next frame, grey uint8 `(height, width)`; `time_sec` never falls."""
        import cv2

        small = cv2.resize(frame, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
        recent, self._last_sec = self._recent, time_sec
        # Of a low rate the frame before is all there is.
        while len(recent) > 1 and (
            recent[1][0] <= time_sec - CHANGE_SEC + 1e-3 or len(recent) > _MOST_RECENT
        ):
            recent.popleft()
        if recent and time_sec - recent[0][0] <= 5 * CHANGE_SEC:
            difference = small - recent[0][1]
            if np.abs(difference).max() >= LEAST_CHANGE:
                moves = float(np.abs(difference).mean())
                self._look(time_sec, moves, difference, small)
        recent.append((time_sec, small))

    def signature(self):
        """Returns the `Signature` of the frames until now."""
        self._look(self._last_sec + 3 * AROUND_SEC, 0.0, None, None)
        kept = sorted(self._kept, key=lambda moment: moment[1])
        return Signature(
            np.array([moment[1] for moment in kept], np.float64),
            np.array([moment[2] for moment in kept], np.uint64),
            np.array([moment[3] for moment in kept], np.uint64),
            self._last_sec,
        )

    def _look(self, time_sec, moves, difference, small):
        around = self._around
        while around and (
            around[0][0] < time_sec - 2 * AROUND_SEC or len(around) > _MOST_AROUND
        ):
            self._keep_if_most(around[0])
            around.popleft()
        around.append((time_sec, moves, difference, small))

    def _keep_if_most(self, candidate):
        # The first within the time before it was not dropped; those after it are all here.
        time_sec, moves, difference, small = candidate
        after = [other for other in self._around if 0 < other[0] - time_sec <= AROUND_SEC]
        before = self._kept and time_sec - self._kept[-1][1] <= AROUND_SEC
        if any(other[1] > moves for other in after):
            return
        if moves < self._least or (before and self._kept[-1][0] >= moves):
            return
        if before:
            self._kept.pop()
        self._kept.append((moves, time_sec, perceptual_hash(difference), perceptual_hash(small)))
        if len(self._kept) > MOST_MOMENTS:
            self._least = sorted(moment[0] for moment in self._kept)[len(self._kept) // 2]
            self._kept = [moment for moment in self._kept if moment[0] > self._least]


def perceptual_hash(picture):
    """Hashes a picture: which of its low frequencies are above their median.

    Args:
        picture: float32 `(SIDE, SIDE)`.

    Returns:
        int of 64 bits. Pictures that look alike differ in few of them.
    """
    import cv2

    low = cv2.dct(picture)[:FREQUENCIES, :FREQUENCIES].ravel()
    bits = low > np.median(low[1:])
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def agreement(first, second):
    """How much of two videos is the same.

    Args:
        first, second: `Signature`.

    Returns:
        Share, 0 to 1, of the moments of the two that agree, within the time that both show if one
        is laid on the other so that most do; 0 where fewer than `LEAST_MOMENTS` do.
    """
    if min(len(first.times), len(second.times)) < LEAST_MOMENTS:
        return 0.0
    distances = np.bitwise_count(first.changes[:, None] ^ second.changes[None])
    rows, columns = np.nonzero(distances <= CHANGE_BITS)
    if len(rows) < LEAST_MOMENTS:
        return 0.0
    alike = np.bitwise_count(first.pictures[rows] ^ second.pictures[columns]) <= PICTURE_BITS
    rows, columns = rows[alike], columns[alike]
    if len(rows) < LEAST_MOMENTS:
        return 0.0
    offsets = first.times[rows] - second.times[columns]
    order = np.argsort(offsets, kind="stable")
    ends = np.searchsorted(offsets[order], offsets[order] + SAME_SEC, side="right")
    begin = int(np.argmax(ends - np.arange(len(order))))
    chosen = order[begin : ends[begin]]
    offset = float(np.median(offsets[chosen]))
    found = min(len(set(rows[chosen].tolist())), len(set(columns[chosen].tolist())))
    if found < LEAST_MOMENTS:
        return 0.0
    begin_sec = max(0.0, offset) - SAME_SEC
    end_sec = min(first.length_sec, second.length_sec + offset) + SAME_SEC
    shared = min(
        int(((times >= begin_sec) & (times <= end_sec)).sum())
        for times in (first.times, second.times + offset)
    )
    return min(1.0, found / max(shared, 1))


def find(signatures, same_bytes=()):
    """Finds the videos that show the same.

    Compares each with each: a thousand videos take about a minute.

    Args:
        signatures: Dict from name to `Signature`.
        same_bytes: Lists of names whose files are equal byte by byte.

    Returns:
        List of lists of names, each a group of near-duplicates, in the order of `signatures`.

    Example:
        >>> find({}, same_bytes=[["a.avi", "copy of a.avi"]])
        [['a.avi', 'copy of a.avi']]
    """
    names = list(signatures)
    pairs = [(group[0], other) for group in same_bytes for other in group[1:]]
    for number, name in enumerate(names):
        for other in names[number + 1 :]:
            if agreement(signatures[name], signatures[other]) >= LEAST_SHARE:
                pairs.append((name, other))
    return groups(pairs)


def groups(pairs):
    """Joins pairs, or longer tuples, into groups: whatever is in one of them belongs together.

    Args:
        pairs: Iterable of iterables of names.

    Returns:
        List of lists, in the order in which the names come first.

    Example:
        >>> groups([("a", "b"), ("c", "d"), ("b", "e")])
        [['a', 'b', 'e'], ['c', 'd']]
    """
    belongs, order = {}, {}
    for pair in pairs:
        joined = []
        for name in pair:
            order.setdefault(name, len(order))
            joined += belongs.get(name, [name])
        joined = list(dict.fromkeys(joined))
        belongs |= dict.fromkeys(joined, joined)
    found = {id(group): group for group in belongs.values()}.values()
    return sorted((sorted(group, key=order.get) for group in found), key=lambda g: order[g[0]])
