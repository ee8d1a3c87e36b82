"""Feeds video to models: footage in, `tf.data` streams of clips out.

A clip is float32 `(time, height, width, channels)` in [0, 1]; bytes until the very end.
"""

import os

from data_pipelines import augmentations, disk_cache, tasks, transforms
from data_pipelines import service as service_lib
from data_pipelines.batching import (
    Order,
    batched,
    cached_clips,
    check_live,
    class_numbers,
    streamed_clips,
)
from data_pipelines.clips import ClipSpec, frame_indices
from data_pipelines.decoding import chunks
from data_pipelines.random_windows import check_random, random_clips
from data_pipelines.shards import prepare
from data_pipelines.sources import KINDS, Source, Video, open_source
from data_pipelines.sources.camera import Camera
from data_pipelines.splits import split

MOST_WORKERS = 4


def load(source, clip=ClipSpec(), *, kind=None, split=None, labels=None, task=None, batch=None,
         drop_remainder=False, shuffle=False, augment=(), seed=0, repeat=False, first_epoch=0,
         skip=0, cache=None, workers=None, windows_per_epoch=None, service=None,
         sharding="dynamic"):
    """Streams clips of a source.

    Element `i` of epoch `e` depends on `(seed, e, i)` alone: which window, where it is cropped,
    how it is augmented. The same call gives the same stream; `first_epoch` and `skip` go on
    where an earlier one was left. A camera gives other frames each time; it needs a `size` in
    `clip` and takes neither `repeat` nor `skip`, unless a limit lets it be kept in memory.

    Args:
        source: Path of footage, address of a camera, or a `Source` (of `open_source`, maybe a
            `subset`; of `sources.camera.open_source`, which takes limits and timeouts).
        clip: `ClipSpec`: how clips are cut.
        kind: Layout, one of `KINDS`, or `None` to tell it by looking.
        split: `"train"`, `"test"` or `None` for all videos.
        labels: `None`; or the classes, e.g. `Source.labels`: then each clip comes with the class
            of its video, int32: where its label stands in `labels`.
        task: Function of `data_pipelines.tasks`, e.g. `tasks.predict_ahead(4)`; `None` for clips.
            With `labels` it is given two arguments, clip and class.
        batch: Clips per batch, or `None` for single clips. With `repeat`, batches are cut from
            the endless stream, so that all are full.
        drop_remainder: Whether to leave out a last batch that is not full.
        shuffle: `False`; or the buffer of the streaming shuffle in clips (`True` for 256). With
            `cache`, and of shards, anything but `False` shuffles all windows.
        augment: Names of `augmentations.AUGMENTATIONS` (`"flip"`, `"noise"`, ...) or functions
            `(clip uint8, seed) -> clip`, applied in order, one draw per clip. Where one needs more
            frames than a clip has (`"speed"`), windows begin at the same frames and are longer;
            those that reach over the end of a video are left out, and so are shorter videos.
        seed: Seed of every draw, not negative.
        repeat: Whether epochs follow one another without end, each with draws of its own.
            Without it each pass over the dataset is epoch `first_epoch` again.
        first_epoch: Number of the first epoch, from 0.
        skip: Elements of the dataset (batches where `batch` is given) to leave out, counted from
            the start of `first_epoch`; may reach into later epochs with `repeat`.
        cache: `None` to decode while streaming, `"memory"` to decode once, now, and keep the
            frames, at the size and colour of the clip, in memory; `"disk"`, or a folder (a `Path`,
            or a text with a slash), to keep them there, for later calls and other processes too,
            and to read them by memory map: see `disk_cache`. The stream is that of `"memory"`.
        workers: Videos that are decoded at a time while streaming, by threads and, of video files,
            a process each, and windows of shards; `None` for as many as there are cores, four at
            most. The stream does not depend on it.
        windows_per_epoch: `None` for every window that there is; or how many an epoch draws at
            random, from all places of all videos alike (`stride` and `shuffle` do not count). Each
            is read from the key frame before it and `skip` reads nothing: for archives, of which
            an epoch is a sample, remote ones too. Not with `cache` or `service`.
        service: `None`, or `grpc://HOST:PORT` of a tf.data service (`zoo data-service`) whose
            workers make the clips; with a `cache` on disk that they see under the same path.
        sharding: How the clips are spread over its workers: `"dynamic"`, each once, those that a
            dying worker had in hand lost; `"exact"`, each once, whatever dies; `"off"`, each as
            often as there are workers. See `service`; no order is kept.

    Returns:
        `tf.data.Dataset` of float32 clips `(time, height, width, channels)` in [0, 1], with a
        batch axis in front where `batch` is given; of `(clip, class)` with `labels`; of
        `(inputs, targets)` with a `task`.

    Raises:
        ValueError: An argument breaks its rule; nothing to read at `source`; no video as long as
            a clip; a crop larger than the frames; a video whose label is not in `labels`.
        OSError: A remote source that cannot be read; a folder of `cache` that cannot be written
            to, or a full disk; no dispatcher that answers at `service`.

    Example:
        >>> dataset = load(
        ...     "footage/", ClipSpec(frames=10, fps=10, size=(128, 192), crop=(64, 64)),
        ...     task=tasks.predict_ahead(frames=4), batch=16, shuffle=True, repeat=True,
        ...     cache="memory")  # doctest: +SKIP
        >>> model.fit(dataset, steps_per_epoch=100, epochs=5, shuffle=False)  # doctest: +SKIP
    """
    for name, value, least in (("seed", seed, 0), ("first_epoch", first_epoch, 0),
                               ("skip", skip, 0), ("shuffle", shuffle, 0)):
        if value < least:
            raise ValueError(f"`{name}` must be at least {least}. Received: {name}={value!r}")
    if batch is not None and batch < 1:
        raise ValueError(f"`batch` must be at least 1 or None. Received: batch={batch!r}")
    if workers is None:
        workers = min(MOST_WORKERS, os.cpu_count() or 1)
    elif workers < 1:
        raise ValueError(f"`workers` must be at least 1 or None. Received: workers={workers!r}")
    folder = None if cache in (None, "memory") else disk_cache.folder_of(cache)
    service_lib.check(service, sharding, folder, repeat, skip, windows_per_epoch)
    order = Order(
        shuffle=256 if shuffle is True else int(shuffle),
        seed=int(seed),
        repeat=repeat,
        first_epoch=first_epoch,
        skip=skip * (batch or 1),
        augment=tuple(augmentations.find(a) for a in augment),
    )
    videos = open_source(source, kind, split).videos
    check_live(videos, clip, cache, repeat, skip)
    # What is damaged in shards shows when all of them is looked at; no need where that is kept.
    has_parts = any(video.part for video in videos)
    if cache and has_parts and not (folder and disk_cache.is_kept(videos, clip, folder)):
        videos = [part for video in videos for part in video.readable_parts()]
    classes = class_numbers(videos, labels)
    if windows_per_epoch is not None:
        check_random(videos, cache, windows_per_epoch)
        stream = random_clips(videos, classes, clip, order, windows_per_epoch, workers)
    elif not cache and all(video.indexed for video in videos):
        stream = random_clips(videos, classes, clip, order, None, workers)
    elif cache:
        stream = cached_clips(videos, classes, clip, order, folder, service, sharding)
    else:
        stream = streamed_clips(videos, classes, clip, order, workers)
    return batched(stream, task, batch, drop_remainder, labelled=labels is not None)


__all__ = ["KINDS", "Camera", "ClipSpec", "Source", "Video", "augmentations", "chunks",
           "frame_indices", "load", "open_source", "prepare", "split", "tasks", "transforms"]
