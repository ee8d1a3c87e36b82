"""Clips as a model would be fed them, and pictures of them: the work behind `zoo preview`."""

import dataclasses
import io
import math
from pathlib import Path

import matplotlib
import numpy as np
import tensorflow as tf
from PIL import Image, ImageDraw, ImageFont

import data_pipelines
from data_pipelines import augmentations
from data_pipelines.batching import cropped
from data_pipelines.clips import given_rate, window_starts, windows
from data_pipelines.decoding import prepared_frames
from zoo import registry
from zoo.commands import training_setup
from zoo.commands.console import say
from zoo.training.whole_files import whole_folder

FRAMES = 16  # of a clip where neither a preset nor an option says
SEARCHED_CLIPS = 24  # of each video, from its beginning: no need to decode hours
DRAWS = 8
UNKNOWN_FPS = 10.0  # of the GIF where neither the footage nor an option tells a rate

# In pixels.
GAP = 4
LABEL = 18
LEAST_HEIGHT = 96  # smaller frames are shown enlarged, a whole number of times


@dataclasses.dataclass(frozen=True)
class Row:
    """A clip and what it is called.

    Attributes:
        label: str.
        pixels: uint8 `(time, height, width, channels)`.
    """

    label: str
    pixels: np.ndarray


def clip_of(preset, *, size, fps, frames, default):
    """How clips are cut: as a preset is trained, or as the options say.

    Args:
        preset: Name, or None.
        size, fps, frames: Of `ClipSpec`, or None.
        default: Name of the preset where nothing is given.

    Returns:
        `data_pipelines.ClipSpec`.

    Raises:
        ValueError: If both a preset and another option are given, or one breaks its rule.
    """
    if (size, fps, frames) != (None, None, None):
        if preset is not None:
            raise ValueError(
                "`preset` must be left out where `size`, `fps` or `frames` is given. "
                f"Received: preset={preset}"
            )
        return data_pipelines.ClipSpec(frames=frames or FRAMES, fps=fps, size=size, channels=3)
    resolved = registry.resolve(preset or default, argument="preset")
    training = {
        "size": tuple(resolved.arguments["clip_shape"][1:3]),
        **training_setup.TRAINING,
        **resolved.training,
    }
    return training_setup.clip_spec(training, resolved.model_class(**resolved.arguments))


def check_names(names):
    """The augmentations asked for, all of them where none is; `ValueError` of one unknown."""
    for name in names or ():
        if name not in augmentations.AUGMENTATIONS:
            known = ", ".join(sorted(augmentations.AUGMENTATIONS))
            raise ValueError(f"`augment` must be of {known}. Received: augment={name}")
    return tuple(dict.fromkeys(names or augmentations.AUGMENTATIONS))


def make(path, out, clip, names, *, clips, seed):
    """Draws clips of the footage and writes the pictures, all or none.

    Args:
        path: Path of the footage; nothing is written there.
        out: `Path` of the folder for the pictures.
        clip: `data_pipelines.ClipSpec`.
        names: Augmentations to show.
        clips: How many clips to show.
        seed: int, of all draws.

    Returns:
        Dict in JSON values: `files`, `crop`, `shown` (labels of the clips) and `videos`, a dict for
        each: see `fed`.

    Raises:
        ValueError: If there is nothing to read, or no video is as long as a clip.
        OSError: If the pictures cannot be written.
    """
    source = data_pipelines.open_source(path)
    rows = draw_clips(source.videos, clip, clips, seed)
    if not rows:
        raise ValueError(
            f"`path` must hold a video of at least {clip.span} frames"
            f"{'' if clip.fps is None else f' at {clip.fps:g} per second'}. Received: {path}"
        )
    fps = clip.fps or source.fps
    if fps is None:
        fps = UNKNOWN_FPS
        say(f"clips.gif goes at {fps:g} frames per second, since the videos tell no common rate")
    pictures = {
        "contact_sheet.png": _png(sheet(rows)),
        "clips.gif": gif(rows, fps),
        "augmentations.png": _png(sheet(augmented(source.videos, clip, names, seed))),
    }
    with whole_folder(out) as folder:
        for name, content in pictures.items():
            (folder / name).write_bytes(content)
    return {
        "files": [str(out / name) for name in pictures],
        "crop": clip.crop and list(clip.crop),
        "shown": [row.label for row in rows],
        "videos": [fed(video, clip) for video in source.videos],
    }


def fed(video, clip):
    """What a video is fed as.

    Args:
        video: `data_pipelines.Video`.
        clip: `data_pipelines.ClipSpec`.

    Returns:
        Dict: `video` (name), `fps` and `fed_fps`, `frames` and `fed_frames` (before and after it is
        brought to the rate), `clips` (how many an epoch has), `size` and `fed_size` (height and
        width). None where nothing tells. `declared` is whether the numbers of frames and clips go
        by what the file says of itself: a broken one has fewer.
    """
    size = list(next(iter(video.frames())).shape[:2])
    known = video.num_frames is not None
    length = video.length_at(clip.fps) if known else None
    return {
        "video": video.name,
        "fps": video.fps,
        "fed_fps": given_rate(video.fps, clip.fps),
        "frames": video.num_frames,
        "fed_frames": length,
        "clips": len(window_starts(length, clip)) if known else None,
        "declared": known and not video.length_is_certain,
        "size": size,
        "fed_size": list(clip.size or size),
    }


def draw_clips(videos, clip, count, seed):
    """Draws clips, spread over the videos, each cropped as in training.

    Args:
        videos: List of `data_pipelines.Video`.
        clip: `data_pipelines.ClipSpec`.
        count: How many, at most.
        seed: int.

    Returns:
        List of `Row`; empty where no video is as long as a clip.
    """
    rng = np.random.default_rng(seed)
    # Side by side clips that overlap would be one clip.
    apart = dataclasses.replace(clip, stride=clip.frames * clip.frame_step)
    rows, videos = [], [
        video for video in videos
        if video.num_frames is None or video.length_at(clip.fps) >= clip.span
    ]  # fmt: skip
    for place, number in enumerate(rng.permutation(len(videos))):
        video, wanted = videos[number], math.ceil((count - len(rows)) / (len(videos) - place))
        for start, pixels in _some_windows(video, apart, wanted, rng):
            draw = tf.constant([seed, len(rows)], tf.int32)
            label = f"{video.name}, from {_when(start, given_rate(video.fps, clip.fps))}"
            rows.append(Row(label, np.asarray(cropped(pixels, clip, draw))))
    return rows


def _some_windows(video, clip, wanted, rng):
    """Up to `wanted` of the first windows, each as likely; only these are held."""
    held = []
    if not wanted:
        return held
    for number, pixels in enumerate(windows(prepared_frames(video, clip), clip)):
        if number == SEARCHED_CLIPS:
            break
        if len(held) < wanted:
            held.append((number * clip.window_stride, pixels))
        elif (place := rng.integers(number + 1)) < wanted:
            held[place] = (number * clip.window_stride, pixels)
    return sorted(held, key=lambda found: found[0])


def augmented(videos, clip, names, seed):
    """One clip as it is and under each augmentation.

    Of each augmentation the draw is shown, of `DRAWS`, that changes the clip most: half of the
    flips would change nothing.

    Args:
        videos: List of `data_pipelines.Video`.
        clip: `data_pipelines.ClipSpec`.
        names: Augmentations. Those that need more frames than any video has are left out, and that
            is said.
        seed: int.

    Returns:
        List of `Row`.
    """
    functions = {name: augmentations.find(name) for name in names}
    needed = {
        name: augmentations.frames_needed([function], clip.frames)
        for name, function in functions.items()
    }
    rows = []
    for length in sorted({clip.frames, *needed.values()}, reverse=True):
        rows = draw_clips(videos, dataclasses.replace(clip, frames=length), 1, seed)
        if rows:
            break
        for name in [name for name, least in needed.items() if least == length]:
            say(f"{name} is left out: no video has the {length} frames that it needs")
            del functions[name]
    (known,) = rows
    plain = known.pixels[: clip.frames].astype(int)
    shown = [Row(f"as it is: {known.label}", known.pixels[: clip.frames])]
    for name, function in functions.items():
        draws = [
            augmentations.apply(
                known.pixels, [function], tf.constant([[seed, draw]], tf.int32), clip.frames
            ).numpy()
            for draw in range(DRAWS)
        ]
        shown.append(Row(name, max(draws, key=lambda pixels: np.abs(pixels - plain).mean())))
    return shown


def sheet(rows):
    """Draws clips below one another, their frames side by side, a label over each.

    Args:
        rows: List of `Row`.

    Returns:
        `PIL.Image.Image`.
    """
    shown = [(row.label, _enlarged(row.pixels)) for row in rows]
    width = max(GAP + len(clip) * (clip.shape[2] + GAP) for _, clip in shown)
    height = sum(LABEL + clip.shape[1] + GAP for _, clip in shown)
    page = Image.new("RGB", (width, height), "white")
    draw, font, top = ImageDraw.Draw(page), _font(), 0
    for label, clip in shown:
        draw.text((GAP, top + 2), label, fill="black", font=font)
        top += LABEL
        for number, frame in enumerate(clip):
            page.paste(Image.fromarray(frame), (GAP + number * (frame.shape[1] + GAP), top))
        top += clip.shape[1] + GAP
    return page


def gif(rows, fps):
    """Draws clips side by side, moving.

    Args:
        rows: List of `Row`, of equally many frames.
        fps: Frames per second.

    Returns:
        bytes of a GIF that goes on for ever. Its clock counts hundredths of a second.
    """
    shown = [_enlarged(row.pixels) for row in rows]
    across = math.ceil(math.sqrt(len(shown)))
    down = math.ceil(len(shown) / across)
    wide, high = (max(clip.shape[axis] for clip in shown) + GAP for axis in (2, 1))
    images = []
    for number in range(len(shown[0])):
        page = Image.new("RGB", (across * wide - GAP, down * high - GAP), "white")
        for place, clip in enumerate(shown):
            corner = (place % across * wide, place // across * high)
            page.paste(Image.fromarray(clip[number]), corner)
        images.append(page)
    ends = [round(100 * number / fps) for number in range(len(images) + 1)]
    durations = [10 * max(1, end - begin) for begin, end in zip(ends, ends[1:], strict=False)]
    held = io.BytesIO()
    images[0].save(
        held, "GIF", save_all=True, append_images=images[1:], duration=durations, loop=0
    )
    return held.getvalue()


def _when(start, rate):
    return f"frame {start}" if rate is None else f"{start / rate:.2f} s"


def _enlarged(clip):
    """The clip in RGB, small frames enlarged."""
    times = max(1, LEAST_HEIGHT // clip.shape[1])
    clip = np.repeat(clip, 3 // clip.shape[-1], -1)
    return np.repeat(np.repeat(clip, times, 1), times, 2)


def _font():
    # Of Matplotlib: it knows the letters of most languages, which names of files are in.
    return ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts/ttf/DejaVuSans.ttf"), 12)


def _png(image):
    held = io.BytesIO()
    image.save(held, "PNG")
    return held.getvalue()
