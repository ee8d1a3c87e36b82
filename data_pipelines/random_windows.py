"""Windows read where they are, each by itself: drawn at random, or each once per epoch.

Of a video file that means from the key frame before it.
"""

import collections
import concurrent.futures
import dataclasses
import logging

import numpy as np
import tensorflow as tf

from data_pipelines import batching
from data_pipelines import clips as clips_lib
from data_pipelines.decoding import prepared_window, warn_of_rate

_LOG = logging.getLogger(__name__)

# Draws for one element: where none of them can be read, the footage is not worth going on with.
_MOST_DRAWS = 20

# Windows that are read ahead of the one asked for, per worker.
_AHEAD = 2

# Elements whose places are looked up at once: one by one that takes as long as to read a window.
_PLACES = 256


def check_random(videos, cache, count):
    """Raises `ValueError` where windows cannot be drawn at random.

    Args:
        videos: List of `Video`.
        cache: As of `load`.
        count: `windows_per_epoch` of `load`.
    """
    if count < 1:
        raise ValueError(
            "`windows_per_epoch` must be at least 1 or None. "
            f"Received: windows_per_epoch={count!r}"
        )
    if cache:
        raise ValueError(
            "`cache` must be None where `windows_per_epoch` is given: windows are read where they "
            f"are. Received: cache={cache!r}"
        )
    whole = [video.name for video in videos if not video.seekable]
    if whole:
        raise ValueError(
            "`windows_per_epoch` must be None for a file whose server gives no ranges: each window "
            "would fetch all of it; copy it here, or to where there are ranges. "
            f"Received: windows_per_epoch={count} for {whole[0]}"
        )
    live = [video.name for video in videos if video.live]
    if live:
        raise ValueError(
            "`windows_per_epoch` must be None for a camera, whose frames come once. "
            f"Received: windows_per_epoch={count} for {live[0]}"
        )


def random_clips(videos, classes, clip, order, count, workers):
    """Streams windows drawn at random, uniformly over all places where one fits; or all windows.

    Element `i` of an epoch depends on `(seed, epoch, i)` alone: one is found again without those
    before it. A place where no whole window can be read, in a damaged file or across a pause of
    the recording, is told once per video, and another is drawn where windows are drawn.

    Args:
        videos: List of `Video`.
        classes: List of int, the class of each video.
        clip: `ClipSpec`; `stride` does not count where windows are drawn.
        order: `Order`; `shuffle` does not count where windows are drawn.
        count: Windows per epoch; or `None` for each window once, in the order of
            `batching.cached_clips`. One that cannot be read is left out then; of a stream that
            repeats it is replaced by another, so that every epoch is as long as the others and
            `skip` tells where the stream was left.
        workers: Windows that are read at a time.

    Returns:
        `tf.data.Dataset` of pairs of clip and class, as of `batching.cached_clips`.

    Raises:
        ValueError: No video is as long as a window; a crop that does not fit; sizes that differ
            and nothing makes them equal.
    """
    each_once = count is None
    longer = batching.longer_clip(clip, order)
    if not each_once:
        longer = dataclasses.replace(longer, stride=1)
    kept, kept_classes, places = [], [], []
    for video, label in zip(videos, classes, strict=True):
        if video.num_frames is None:
            video.warn_once("%s left out: its length is unknown, so nothing can be drawn from it",
                            video.name)  # fmt: skip
            continue
        warn_of_rate(video, longer)
        length = video.length_at(longer.fps)
        if batching.is_long_enough(video, length, longer):
            kept.append(video)
            kept_classes.append(label)
            places.append(len(clips_lib.window_starts(length, longer)))
    if not kept:
        raise batching.none_long_enough(videos, longer, clip)
    size = clip.size or batching.first_frame(kept[0], clip).shape[:2]
    shape = batching.checked_shape(kept[0], (*size, clip.channels), None, clip)
    fixed = shape if clip.size or not clip.crop else (None, None, clip.channels)
    ends = np.cumsum(places)
    count = int(ends[-1]) if each_once else count
    leaves_out = each_once and not order.repeat
    no_clip = np.zeros((longer.frames, *shape), np.uint8)

    def read(epoch, element, place):
        for draw in range(_MOST_DRAWS):
            if draw or not each_once:
                rng = np.random.default_rng([order.seed, epoch, element, draw])
                place = int(rng.integers(ends[-1]))
            number = int(np.searchsorted(ends, place, side="right"))
            video, start = kept[number], place - int(ends[number] - places[number])
            start *= longer.stride
            cut = prepared_window(video, longer, start)
            if cut is not None:
                batching.checked_shape(video, cut.shape[1:], shape, clip)
                return cut, kept_classes[number]
            if leaves_out:
                video.warn_once("%s: windows that cannot be read whole are left out", video.name)
                return no_clip, batching.NO_CLIP
            video.warn_once("%s: a window drawn from it cannot be read whole; another is drawn",
                            video.name)  # fmt: skip
        raise ValueError(
            f"no whole window could be read in {_MOST_DRAWS} draws, the last of {video.name}"
        )

    def elements():
        position = order.skip
        while order.repeat or position < count:
            epoch, first = order.first_epoch + position // count, position % count
            found = np.arange(first, min(count, first + _PLACES), dtype=np.int64)
            placed = np.asarray(batching.place_of(order, epoch, found, count))
            yield from zip([epoch] * len(found), found.tolist(), placed.tolist(), strict=True)
            position += len(found)

    def windows():
        with concurrent.futures.ThreadPoolExecutor(workers) as pool:
            waiting = collections.deque()
            try:
                for element in elements():
                    waiting.append(pool.submit(read, *element))
                    if len(waiting) > _AHEAD * workers:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()

    stream = tf.data.Dataset.from_generator(
        windows,
        output_signature=(
            tf.TensorSpec([longer.frames, *fixed], tf.uint8), tf.TensorSpec([], tf.int32)
        ),
    )

    def drawn(position, given):
        epoch, element = order.first_epoch + position // count, position % count
        return batching.drawn(given[0], clip, order, epoch, element), given[1]

    stream = stream.enumerate(order.skip).map(drawn)
    if leaves_out:
        # How many are left shows at the end.
        return stream.filter(lambda cut, label: label != batching.NO_CLIP)
    if not order.repeat:
        left = max(0, count - order.skip)
        stream = stream.apply(tf.data.experimental.assert_cardinality(left))
    return stream
