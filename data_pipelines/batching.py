"""From videos to batches: windows, order, crop, augmentation, task, floats.

Element `i` of a stream depends on `(seed, epoch, i)` alone, so that a stream goes on where an
earlier one was left.
"""

import dataclasses
import logging

import numpy as np
import tensorflow as tf

from data_pipelines import augmentations, disk_cache, transforms
from data_pipelines import clips as clips_lib
from data_pipelines import service as service_lib
from data_pipelines.decoding import prepared_frames, read_ahead
from data_pipelines.live import IDLE_SECONDS, LiveIterator

_LOG = logging.getLogger(__name__)

# Stands for "no clip" where one would be, as while a camera is idle, and is left out at once.
NO_CLIP = -1


@dataclasses.dataclass(frozen=True)
class Order:
    """In which order, with which draws, and from where on a stream gives its clips.

    Args:
        shuffle: Whether to shuffle; a number is the buffer of the streaming shuffle, in clips.
        seed: Seed of every draw.
        repeat: Whether epochs follow one another without end.
        first_epoch: Number of the first epoch.
        skip: Clips left out at the start, counted from the start of `first_epoch`.
        augment: Functions `(clip, seed) -> clip` on uint8 clips; where one needs more frames than
            a clip has, windows are that much longer, and begin where they would otherwise.
    """

    shuffle: int = 0
    seed: int = 0
    repeat: bool = False
    first_epoch: int = 0
    skip: int = 0
    augment: tuple = ()


def class_numbers(videos, labels):
    """Looks up the class of every video.

    Args:
        videos: List of `Video`.
        labels: Sequence of distinct labels, or `None` where classes do not count.

    Returns:
        List of int, one per video: where its label stands in `labels`; zeros without labels.

    Raises:
        ValueError: Two labels are equal; a video has no label, or one that is not there.
    """
    if labels is None:
        return [0] * len(videos)
    labels = list(labels)
    if len(set(labels)) < len(labels):
        raise ValueError(f"`labels` must be distinct. Received: labels={labels}")
    for video in videos:
        if video.label not in labels:
            raise ValueError(
                f"`labels` must hold the label of every video. Received: labels={labels}, and "
                f"{video.name} with the label {video.label!r}"
                + ("" if video.label else "; kind='labelled_folders' reads a folder per class")
            )
    return [labels.index(video.label) for video in videos]


def check_live(videos, clip, cache, repeat, skip):
    """Raises `ValueError` where a camera is among `videos` and the stream is not one for cameras.

    Args:
        videos: List of `Video`.
        clip: `ClipSpec`.
        cache: As of `load`.
        repeat: As of `load`.
        skip: As of `load`.
    """
    for video in videos:
        if cache and video.endless:
            raise ValueError(
                "`cache` must be None for a camera without a limit (`max_frames`, `max_seconds`): "
                f"its frames would fill the memory. Received: cache={cache!r} for {video.name}"
            )
        if cache or not video.live:
            continue
        if clip.size is None:
            raise ValueError(
                "`size` of the clip must be given for a camera: that of its frames shows only "
                f"when it is there, and may change. Received: size=None for {video.name}"
            )
        for name, value in (("repeat", repeat), ("skip", skip)):
            if value:
                raise ValueError(
                    f"`{name}` must be {type(value)()} for a camera, whose frames come once; with "
                    "cache='memory', and a limit of the camera, they are kept. "
                    f"Received: {name}={value!r} for {video.name}"
                )
        if len(videos) > 1:
            raise ValueError(
                "`source` must hold no other video beside a camera: they would take turns, and it "
                f"has no end. Received: {[video.name for video in videos]}"
            )


def cached_clips(videos, classes, clip, order, folder=None, service=None, sharding="dynamic"):
    """Streams clips from frames decoded once; the shuffle is over all windows.

    Args:
        videos: List of `Video`.
        classes: List of int, the class of each video.
        clip: `ClipSpec`.
        order: `Order`.
        folder: `None` to keep all prepared frames in memory, or the folder of `disk_cache`.
        service: `None`, or the address of a tf.data service that makes the clips, as of `load`;
            only with a `folder`.
        sharding: How they are spread over its workers, as of `load`.

    Returns:
        `tf.data.Dataset` of pairs: clip, uint8 `(frames, height, width, channels)`, and class of
        its video, int32 scalar.

    Raises:
        ValueError: No video is as long as a window, or they differ in size and nothing equals them.
        OSError: The folder cannot be written to; no dispatcher of the service answers.
    """
    if service is not None:
        service_lib.check_dispatcher(service)  # before the work that takes long
    longer = longer_clip(clip, order)
    lengths, shapes, first_shape = [], [], None

    def check(video, length, shape):
        nonlocal first_shape
        is_kept = is_long_enough(video, length, longer)
        if is_kept:
            shape = checked_shape(video, shape, first_shape, clip)
            first_shape = first_shape or shape
        lengths.append(length)
        shapes.append(shape if is_kept else None)
        return is_kept

    # One long row of bytes holds videos of any size; a window is a slice of it.
    if folder is None:
        begins, pixels = _in_memory(videos, clip, check)
    else:
        kept = disk_cache.kept_frames(videos, clip, folder, check)
        begins = [begin for begin, _, _ in kept.videos]
        pixels = None if first_shape is None else kept.mapped()
    if first_shape is None:
        raise none_long_enough(videos, longer, clip)
    offsets, window_shapes, window_classes = [], [], []
    for begin, length, shape, label in zip(begins, lengths, shapes, classes, strict=True):
        if shape is None:
            continue
        frame_bytes = np.prod(shape, dtype=np.int64)
        starts = np.array(clips_lib.window_starts(length, longer), np.int64)
        offsets.append(begin + starts * frame_bytes)
        window_shapes.append(np.tile(np.int64([shape]), (len(starts), 1)))
        window_classes += [label] * len(starts)
    offsets, window_shapes = np.concatenate(offsets), np.concatenate(window_shapes)
    count = len(offsets)
    where = "memory" if folder is None else folder
    _LOG.info("%d clips from %d frames in %s", count, sum(lengths), where)
    is_one = len(set(shapes) - {None}) == 1
    fixed = first_shape if is_one else (None, None, clip.channels)
    offsets, window_shapes = tf.constant(offsets), tf.constant(window_shapes)
    window_classes = tf.constant(window_classes, tf.int32)

    def window(position, by_path=False):
        epoch, element = order.first_epoch + position // count, position % count
        place = place_of(order, epoch, element, count)
        shape = fixed if fixed[0] else tf.unstack(window_shapes[place])
        frame_bytes = tf.cast(tf.reduce_prod(shape), tf.int64)
        span, row = longer.span, pixels
        if by_path:
            # For other processes; where it is evaluated it copies the file into memory, once.
            row = tf.raw_ops.ImmutableConst(
                dtype=tf.uint8, shape=[kept.num_bytes], memory_region_name=str(kept.path.resolve())
            )
        cut = tf.slice(row, [offsets[place]], [span * frame_bytes])
        cut = tf.reshape(cut, [span, *shape])[:: clip.frame_step]
        cut = tf.ensure_shape(cut, [longer.frames, *fixed])
        return drawn(cut, clip, order, epoch, element), window_classes[place]

    stop = np.iinfo(np.int64).max if order.repeat else max(count, order.skip)
    if service is None:
        stream = tf.data.Dataset.range(order.skip, stop).map(window)
    else:
        stream = service_lib.distributed(
            (order.skip, stop), lambda place: window(place, by_path=True), window, service,
            sharding,
        )
    if folder is not None:
        options = tf.data.Options()
        # Rewriting the graph of a stream copies what it has been given, here the whole map.
        options.experimental_optimization.apply_default_optimizations = False
        options.autotune.enabled = False
        stream = stream.with_options(options)
    return stream


def _in_memory(videos, clip, check):
    """Decodes videos into one row of bytes; those that `check` says no to are left out of it."""
    stored, begins = bytearray(), []
    for video in videos:
        begin, length, shape = len(stored), 0, None
        for frame in prepared_frames(video, clip):
            stored += frame.tobytes()
            length, shape = length + 1, frame.shape
        begins.append(begin)
        if not check(video, length, shape):
            del stored[begin:]
    return begins, tf.constant(np.frombuffer(stored, np.uint8)) if stored else None


def streamed_clips(videos, classes, clip, order, workers=1):
    """Streams clips while decoding; holds a few windows and the shuffle's buffer, never a video.

    Shuffled, the order of the videos is drawn for each epoch, then a buffer shuffles the windows.
    Clips skipped are decoded, but for whole epochs where the length of every video is certain.

    Args:
        videos: List of `Video`.
        classes: List of int, the class of each video.
        clip: `ClipSpec`.
        order: `Order`.
        workers: Videos decoded at a time; what is streamed does not depend on it.

    Returns:
        `tf.data.Dataset` of pairs of clip and class, as of `cached_clips`.

    Raises:
        ValueError: No video is as long as a window; a crop that does not fit.
    """
    longer = longer_clip(clip, order)
    kept = [
        (video, label) for video, label in zip(videos, classes, strict=True)
        if video.num_frames is None or is_long_enough(video, video.length_at(clip.fps), longer)
    ]
    if not kept:
        raise none_long_enough(videos, longer, clip)
    kept, classes = zip(*kept, strict=True)
    # A camera need not be there yet: its first frame is not waited for.
    size = clip.size if kept[0].live else first_frame(kept[0], clip).shape[:2]
    shape = checked_shape(kept[0], (*(clip.size or size), clip.channels), None, clip)
    live, idle = kept[0].live, np.zeros((longer.frames, *shape), np.uint8)
    fixed = shape if clip.size or not clip.crop else (None, None, clip.channels)

    def windows_of(numbers):
        given = 0
        if live:
            each = [prepared_frames(kept[0], clip, IDLE_SECONDS)]
        else:
            each = read_ahead((kept[number] for number in numbers), clip, workers)
        # Strict, so that what reads ahead is asked once more, and ends.
        for number, frames in zip(numbers, each, strict=True):
            video = kept[number]
            for cut in clips_lib.windows(frames, longer):
                if cut is None:
                    yield idle, NO_CLIP
                    continue
                checked_shape(video, cut.shape[1:], shape, clip)
                given += 1
                yield cut, classes[number]
        if given:
            return
        if not live:
            raise none_long_enough(kept, longer, clip)
        _LOG.warning("%s gave no clip of %d frames before its end", kept[0].name, longer.span)

    def windows(epoch):
        numbers = np.arange(len(kept))
        if order.shuffle:
            rng = np.random.default_rng([order.seed, int(epoch)])
            rng.shuffle(numbers)
        stream = windows_of(numbers)
        if order.shuffle:
            stream = _shuffled(stream, order.shuffle, rng)
        return LiveIterator(stream, kept[0].close) if live else stream

    def one_epoch(epoch):
        stream = tf.data.Dataset.from_generator(
            windows, args=(epoch,),
            output_signature=(
                tf.TensorSpec([longer.frames, *fixed], tf.uint8), tf.TensorSpec([], tf.int32)
            ),
        )
        if live:
            stream = stream.filter(lambda cut, label: label != NO_CLIP)
        return stream.enumerate().map(
            lambda element, given: (drawn(given[0], clip, order, epoch, element), given[1])
        )

    first_epoch, skip, count = order.first_epoch, order.skip, None
    if all(v.length_is_certain for v in kept):
        count = sum(len(clips_lib.window_starts(v.length_at(clip.fps), longer))
                    for v in kept)
        if order.repeat:
            first_epoch, skip = first_epoch + skip // count, skip % count
    last = np.iinfo(np.int64).max if order.repeat else first_epoch + 1
    stream = tf.data.Dataset.range(first_epoch, last).flat_map(one_epoch).skip(skip)
    if count is not None and not order.repeat:
        stream = stream.apply(tf.data.experimental.assert_cardinality(max(0, count - skip)))
    return stream


def batched(stream, task, batch, drop_remainder, labelled):
    """Batches clips, applies the task and turns bytes into floats last of all.

    Args:
        stream: `tf.data.Dataset` of pairs of uint8 clip and int32 class.
        task: Function of `data_pipelines.tasks`, or `None`.
        batch: Clips per batch, or `None` for single clips.
        drop_remainder: Whether to leave out a last batch that is not full.
        labelled: Whether the classes are given, to the task where there is one.

    Returns:
        `tf.data.Dataset` of float32 clips or of pairs of these and classes; with a task, of what
        that makes of them.
    """
    if batch is not None:
        stream = stream.batch(batch, drop_remainder=drop_remainder)

    def finish(clip, label):
        if task is not None:
            parts = task(clip, label) if labelled else task(clip)
        else:
            parts = (clip, label) if labelled else clip
        return tf.nest.map_structure(
            lambda part: transforms.to_float(part) if part.dtype == tf.uint8 else part, parts
        )

    options = tf.data.Options()
    # The model needs the cores: two threads of its own, one per operation, keep the stream ahead.
    options.threading.private_threadpool_size = 2
    options.threading.max_intra_op_parallelism = 1
    options.autotune.enabled = False
    options.deterministic = True
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return stream.map(finish).prefetch(2).with_options(options)


def cropped(cut, clip, seed):
    """Crops a window as its clip says.

    Args:
        cut: uint8 `(time, height, width, channels)`, or a dict with its truth.
        clip: `ClipSpec`; `crop` and `crop_mode` count.
        seed: int32 `(2,)`, stateless.

    Returns:
        uint8 `(time, *clip.crop, channels)`, or the window itself without a crop.
    """
    if clip.crop is None:
        return cut
    if clip.crop_mode == "center":
        return transforms.center_crop(cut, clip.crop)
    crop = transforms.random_crop if clip.crop_mode == "random" else transforms.motion_crop
    return crop(cut, clip.crop, seed)


def drawn(cut, clip, order, epoch, element):
    """Crops and augments a window by the draws of its element.

    Args:
        cut: uint8 `(time, height, width, channels)`, as `longer_clip` cuts it.
        clip: `ClipSpec`.
        order: `Order`.
        epoch: Number of the epoch, int64 scalar.
        element: Number of the element in it, int64 scalar.

    Returns:
        uint8 `(clip.frames, height, width, channels)`.
    """
    draws = 1 + len(order.augment)
    seeds = tf.random.split(_seed(order.seed, epoch, "draw", element), draws)
    cut = cropped(cut, clip, seeds[0])
    return augmentations.apply(cut, order.augment, seeds[1:], clip.frames)


def place_of(order, epoch, element, count):
    """Which of all windows an element is, where the shuffle is over all of them.

    Args:
        order: `Order`.
        epoch: Number of the epoch, int64 scalar.
        element: Number of the element in it, int64 below `count`; a scalar or several at once.
        count: Number of windows.

    Returns:
        int64 of the same shape: the element itself where nothing is shuffled.
    """
    if not order.shuffle or count == 1:
        return element
    seed = tf.cast(_seed(order.seed, epoch, "order"), tf.uint32)
    return tf.random.experimental.index_shuffle(element, seed, tf.constant(count - 1, tf.int64))


def longer_clip(clip, order):
    """The clip as long as its augmentations need it, beginning at the same frames."""
    frames = augmentations.frames_needed(order.augment, clip.frames)
    return dataclasses.replace(clip, frames=frames, stride=clip.window_stride)


def _shuffled(stream, buffer, rng):
    # Dataset.shuffle mixes TensorFlow's global seed into its own; the order must not hang on that.
    held = []
    for element in stream:
        if element[1] == NO_CLIP:
            yield element
            continue
        if len(held) < buffer:
            held.append(element)
            continue
        place = rng.integers(buffer)
        yield held[place]
        held[place] = element
    for place in rng.permutation(len(held)):
        yield held[place]


def _seed(seed, epoch, purpose, element=0):
    # The order of an epoch and the draws of its elements must not come from equal seeds.
    seed = tf.random.fold_in(tf.constant([seed & 0x7FFFFFFF, seed >> 31], tf.int32), epoch)
    return seed if purpose == "order" else tf.random.fold_in(seed, element + 1)


def first_frame(video, clip):
    """The first frame of a video, as the source gives it."""
    for frame in video.frames():
        return frame
    raise none_long_enough([video], clip, clip)


def checked_shape(video, shape, first, clip):
    """Raises `ValueError` where frames cannot be stacked with others, or hold no crop.

    Args:
        video: `Video`.
        shape: `(height, width, channels)` of its frames.
        first: That of the videos before, or `None`.
        clip: `ClipSpec`.

    Returns:
        `shape`, of int.
    """
    if clip.crop:
        clips_lib.check_crop(clip.crop, shape[:2], f"{video.name}, whose frames are {shape[:2]}")
    elif first is not None and tuple(shape) != tuple(first):
        raise ValueError(
            f"{video.name}: its frames are {shape[:2]}, those before it {first[:2]}; give `size` "
            "or `crop` to make them equal"
        )
    return tuple(int(n) for n in shape)


def is_long_enough(video, num_frames, clip):
    """Says whether a video of so many frames holds a window; warns where it does not."""
    if num_frames >= clip.span:
        return True
    _LOG.warning(
        "%s left out: it has %d frames, a clip needs %d", video.name, num_frames, clip.span
    )
    return False


def none_long_enough(videos, longer, clip):
    """The `ValueError` where no video is as long as a window.

    Args:
        videos: List of `Video`.
        longer: `ClipSpec` that `augment` makes of `clip`.
        clip: `ClipSpec`.
    """
    def length(video):
        return 0 if video.num_frames is None else video.length_at(clip.fps)

    longest = max(videos, key=length)
    spare = longer.frames - clip.frames
    return ValueError(
        f"no video is as long as a clip of {longer.span} frames (`frames`={clip.frames}, "
        + (f"{spare} more that `augment` needs, " if spare else "")
        + f"`frame_step`={clip.frame_step}); the longest of {len(videos)} is {longest.name} with "
        f"{'too few' if longest.num_frames is None else length(longest)} frames"
        + ("" if clip.fps is None else f" at {clip.fps:g} per second")
    )
