"""From a video to the frames a model sees: rate, colour and size, piece by piece."""

import dataclasses

import numpy as np

from data_pipelines import clips as clips_lib
from data_pipelines import transforms

# Frames brought to size and colour at once: enough to keep the threads busy, few to hold.
_CHUNK = 32


def prepared_frames(video, clip):
    """Decodes a video and brings it to the rate, size and colour of a clip.

    Args:
        video: `Video`.
        clip: `ClipSpec`.

    Yields:
        uint8 arrays `(height, width, clip.channels)`, all frames of the resampled video.

    Raises:
        ValueError: Frames of one video differ in size and `clip.size` does not make them equal.
    """
    if clip.fps is not None and video.fps is None:
        video.warn_once("the frame rate is unknown; it is taken as the %g asked for", clip.fps)
    elif clips_lib.is_too_slow(video.fps, clip.fps):
        video.warn_once(
            "%g frames per second is less than the %g asked for; all frames are used, "
            "none invented", video.fps, clip.fps,
        )
    size, held = clip.size, []
    for frame in video.sampled(clip.fps, size, clip.channels):
        if size and frame.shape == (*size, clip.channels):
            # As it should be, as files give it that were decoded so.
            if held:
                yield from _prepared(held, size, clip.channels)
                held = []
            yield frame
            continue
        if held and frame.shape != held[0].shape:
            yield from _prepared(held, size, clip.channels)
            held = []
        # Without a size asked for, the first frame sets it.
        size = size or frame.shape[:2]
        if clip.size is None and frame.shape[:2] != size:
            raise ValueError(
                f"{video.name}: its frames change from {size} to {frame.shape[:2]}; give `size`"
            )
        held.append(frame)
        if len(held) == _CHUNK:
            yield from _prepared(held, size, clip.channels)
            held = []
    if held:
        yield from _prepared(held, size, clip.channels)


def chunks(video, clip, frames_per_chunk=16):
    """Gives a video piece by piece for scoring, as a model trained on `clip` would see it.

    Brought to rate, size and colour, every `clip.frame_step`-th frame, uncropped, with memory
    that does not grow with the video. `clips.frame_indices` tells which frames they are.

    Args:
        video: `Video`.
        clip: `ClipSpec`.
        frames_per_chunk: Frames at once, at least 1.

    Yields:
        uint8 arrays `(n, height, width, clip.channels)`, `n = frames_per_chunk` but for the last.

    Raises:
        ValueError: `frames_per_chunk` is below 1.
    """
    if frames_per_chunk < 1:
        raise ValueError(
            f"`frames_per_chunk` must be at least 1. Received: frames_per_chunk={frames_per_chunk}"
        )
    held = []
    for number, frame in enumerate(prepared_frames(video, clip)):
        if number % clip.frame_step == 0:
            held.append(frame)
        if len(held) == frames_per_chunk:
            yield np.stack(held)
            held = []
    if held:
        yield np.stack(held)


def resampled_length(video, clip):
    """Returns the frames of a video at the rate of the clip, by its declared `num_frames`."""
    if clips_lib.keeps_all_frames(video.fps, clip.fps):
        return video.num_frames
    one_by_one = dataclasses.replace(clip, frame_step=1)
    return len(clips_lib.frame_indices(video.num_frames, video.fps, one_by_one))


def _prepared(frames, size, channels):
    return transforms.prepare(np.stack(frames), size, channels).numpy()
