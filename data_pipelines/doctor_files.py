"""Which files there are below a folder, and what each of them is: video, frame or something else.

Nothing is decoded here. Folders that cannot be read, links to nothing and pipes are found too: all
that is there is to be in the report.
"""

import dataclasses
import os
import stat
from pathlib import Path

from data_pipelines.sources import frame_folders, moving_mnist, synthetic_cctv, ucsd, weizmann
from data_pipelines.sources.base import IMAGE_SUFFIXES, VIDEO_SUFFIXES, images_in, natural_order

# First bytes, at the place given, of what is found under the names of videos, and the other way.
_BEGINNINGS = (
    (0, b"\xff\xd8\xff", "image"), (0, b"\x89PNG", "image"), (0, b"GIF8", "image"),
    (0, b"BM", "image"), (0, b"II*\0", "image"), (0, b"MM\0*", "image"), (8, b"WEBP", "image"),
    (0, b"%PDF", "PDF document"), (0, b"PK\3\4", "zip archive"), (0, b"\x1f\x8b", "gzip archive"),
    (0, b"7z\xbc\xaf", "7z archive"), (0, b"Rar!", "rar archive"), (0, b"\x7fELF", "program"),
    (8, b"WAVE", "sound"), (0, b"ID3", "sound"), (0, b"OggS", "video or sound"),
    (8, b"AVI ", "video"), (4, b"ftyp", "video"), (0, b"\x1aE\xdf\xa3", "video"),
    (0, b"FLV\1", "video"), (0, b"\0\0\1\xba", "video"), (0, b"0&\xb2u\x8ef\xcf\x11", "video"),
)  # fmt: skip

# Top folders that say for which side of a split their videos are.
_SPLITS = {"train": "train", "training": "train", "test": "test", "testing": "test"}


@dataclasses.dataclass(frozen=True)
class Item:
    """What is examined as one.

    Attributes:
        name: Name of the video in the source, or of the file below the folder.
        kind: `"video"`, `"images"` (a video kept as images), `"strip"` (one kept as one image),
            `"pictures"` (images that are no video, such as masks), `"other"` or `"unreadable"`.
        paths: List of `Path`.
        split: `"train"`, `"test"` or None.
        fps: Frames per second where the layout tells, else None.
        reason: Of what is unreadable, why.
    """

    name: str
    kind: str
    paths: list
    split: str | None = None
    fps: float | None = None
    reason: str | None = None


def items(path):
    """Finds what there is to examine.

    Args:
        path: `Path` of a file or folder.

    Returns:
        `(kind, list of Item)`, the kind of `data_pipelines.KINDS` that the layout is taken for;
        every file below `path` is in one item. Hidden files are left out, as sources do.

    Raises:
        ValueError: There is nothing at `path`.
    """
    if not path.exists():
        raise ValueError(f"`source` {path} does not exist")
    if not path.is_dir():
        return "video_files", [_item(path, path.name, None, only_one=True)]
    files, unreadable = _files(path)
    kind, videos = _layout(path, {file.suffix.lower() for file in files})
    taken = {file for item in videos for file in item.paths}
    found, folders = list(videos), {}
    for file in files:
        if file in taken:
            continue
        if file.suffix.lower() in IMAGE_SUFFIXES and _is_file(file):
            folders.setdefault(file.parent, []).append(file)
            continue
        split = _SPLITS.get(file.relative_to(path).parts[0]) if file.parent != path else None
        name = file.relative_to(path)
        if kind == "synthetic_cctv" and file.suffix.lower() in VIDEO_SUFFIXES:
            name = name.with_suffix("")  # As that source calls them.
        found.append(_item(file, name.as_posix(), split))
    # Images beside those of a known layout are truth; without one, a folder of them is a video.
    what = "images" if kind == "video_files" else "pictures"
    for folder, images in folders.items():
        name = folder.relative_to(path).as_posix() if folder != path else path.name
        split = _SPLITS.get(name.split("/")[0])
        found.append(Item(name, what if len(images) > 1 else "pictures", images, split))
    for folder, reason in unreadable:
        found.append(Item(folder.relative_to(path).as_posix(), "unreadable", [folder],
                          reason=f"the folder cannot be read: {reason}"))  # fmt: skip
    order = {name: n for n, name in enumerate(natural_order(item.name for item in found))}
    return kind, sorted(found, key=lambda item: order[item.name])


def content(path):
    """What a file is by its first bytes: `"empty"`, `"text"`, `"video"`, ... or `"unknown"`."""
    with open(path, "rb") as file:
        begin = file.read(4096)
    if not begin:
        return "empty"
    for at, expected, kind in _BEGINNINGS:
        if begin[at : at + len(expected)] == expected:
            return kind
    # Every container of video has a zero byte early.
    return "unknown" if b"\0" in begin else "text"


def _item(path, name, split, only_one=False):
    if not _is_file(path):
        why = "it is a link to nothing" if path.is_symlink() else "it is no ordinary file"
        return Item(name, "unreadable", [path], reason=why)
    suffix = path.suffix.lower()
    if only_one:
        # Whoever names one file means it to be a video.
        return Item(name, "pictures" if suffix in IMAGE_SUFFIXES else "video", [path])
    return Item(name, "video" if suffix in VIDEO_SUFFIXES else "other", [path], split)


def _is_file(path):
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return False


def _files(path):
    """`(files, [(folder, reason)])` below a folder, hidden ones left out; links are followed."""
    files, unreadable, seen, waiting = [], [], set(), [path]
    while waiting:
        folder = waiting.pop()
        try:
            if (real := os.path.realpath(folder)) in seen:
                continue  # A link back to what it is in.
            seen.add(real)
            with os.scandir(folder) as entries:
                names = [entry.name for entry in entries if not entry.name.startswith(".")]
        except OSError as error:
            unreadable.append((folder, error.strerror or str(error)))
            continue
        below = [folder / name for name in natural_order(names)]
        waiting += [entry for entry in below if entry.is_dir()]
        files += [entry for entry in below if not entry.is_dir()]
    return files, unreadable


def _layout(path, suffixes):
    """`(kind, items)` of those layouts whose videos are images."""
    try:
        if synthetic_cctv.is_source(path):
            return "synthetic_cctv", []
        if ucsd.is_source(path):
            return "ucsd", _of_images(_clips_of_ucsd(path), fps=ucsd.FPS)
        if moving_mnist.is_source(path):
            return "moving_mnist", []
        if weizmann.is_source(path):
            strips = [image for folder in natural_order(path.iterdir()) if folder.is_dir()
                      for image in images_in(folder)]  # fmt: skip
            return "weizmann", [
                Item(f"{strip.parent.name}/{strip.stem}", "strip", [strip], fps=weizmann.FPS)
                for strip in strips
            ]
        if not suffixes & VIDEO_SUFFIXES and suffixes & IMAGE_SUFFIXES:
            return "frame_folders", _of_images(frame_folders.open_source(path).videos)
    except OSError:
        pass  # A folder in it cannot be read: what can be is looked at file by file.
    return "video_files", []


def _clips_of_ucsd(path):
    try:
        return ucsd.open_source(path).videos
    except ValueError:
        # Its truth does not fit. That is not for here; the frames are still its videos.
        videos = frame_folders.open_source(path).videos
        return [video for video in videos if not video.name.endswith("_gt")]


def _of_images(videos, fps=None):
    return [
        Item(video.name, "images", [Path(file) for file in video.paths], video.split, fps)
        for video in videos
    ]
