"""Where video comes from: one module per layout, `open_source` over all of them."""

import dataclasses
from pathlib import Path

from data_pipelines import remote
from data_pipelines.sources import (
    camera,
    camera_address,
    frame_folders,
    labelled_csv,
    labelled_folders,
    moving_mnist,
    shards,
    synthetic_cctv,
    ucsd,
    video_files,
    weizmann,
)
from data_pipelines.sources.base import IMAGE_SUFFIXES, VIDEO_SUFFIXES, Source, Video, files_below

KINDS = {
    "camera": camera.open_source,
    "frame_folders": frame_folders.open_source,
    "labelled_csv": labelled_csv.open_source,
    "labelled_folders": labelled_folders.open_source,
    "moving_mnist": moving_mnist.open_source,
    "shards": shards.open_source,
    "synthetic_cctv": synthetic_cctv.open_source,
    "ucsd": ucsd.open_source,
    "video_files": video_files.open_source,
    "weizmann": weizmann.open_source,
}

# Layouts that are, or may be, one file.
FILE_KINDS = ("labelled_csv", "video_files")

# Layouts that are read where they are, if that is not here; the others need files to seek in.
REMOTE_KINDS = ("frame_folders", "labelled_folders", "shards", "video_files")


def open_source(source, kind=None, split=None):
    """Opens footage, whichever of the known layouts it has.

    `s3://`, `gs://`, `http://` and `https://` are read where they are, by ranges (see
    `data_pipelines.remote`), as `REMOTE_KINDS`. What lies behind an `http://` or `https://` is told
    by the end of its path: that of a video is a file, `/` is a folder (what its page links to).
    With any other end the server is asked: `multipart/x-mixed-replace` is a camera, HTML a folder,
    all else a file.

    Args:
        source: Path or address of a file or folder, the address of a camera (see
            `camera.Camera`), or a `Source`, which is only split. A number is a folder where there
            is one of that name, else a camera.
        kind: One of `KINDS`, or `None` to tell it from the layout. `"labelled_folders"` and
            `"labelled_csv"` are never guessed. With `"camera"`, or the address as
            `mjpeg+http://...`, nothing is asked before the camera is read.
        split: `"train"`, `"test"`, or `None` for all videos.

    Returns:
        `Source` whose `videos` have `frames()`, and truth where there is any.

    Raises:
        ValueError: Nothing at the path, an unknown kind or layout, nothing to read in it, or no
            such split.
        OSError: An address that does not answer, or must not be read; the message names it.
        ImportError: The package that reads such an address is not there; the extra is named.

    Example:
        >>> for video in open_source("footage/").videos:  # doctest: +SKIP
        ...     print(video.name, video.num_frames)
    """
    if not isinstance(source, Source):
        if kind == "camera" or (kind is None and _is_camera(source)):
            return open_source(camera.open_source(source), split=split)
        shown = camera_address.redacted(source)
        if "://" in shown and not remote.is_remote(source):
            raise ValueError(
                f"`source` must be a path, the address of a camera, or one of "
                f"{', '.join(f'{scheme}://' for scheme in remote.SCHEMES)}. Received: {shown}"
            )
        if kind is not None and kind not in KINDS:
            raise ValueError(f"`kind` must be one of {sorted(KINDS)}. Received: kind={kind!r}")
        path = remote.as_path(source)
        if remote.is_remote(source):
            if _is_stream(path, kind):
                return open_source(camera.open_source(path.url), split=split)
            if kind is not None and kind not in REMOTE_KINDS:
                raise ValueError(
                    f"`kind` must be one of {REMOTE_KINDS} for {path}, which is not on this "
                    f"machine; copy it here to read it otherwise. Received: kind={kind!r}"
                )
        if not path.exists():
            raise ValueError(f"`source` {path} does not exist")
        kind = kind or _kind_of(path)
        if kind not in FILE_KINDS and not path.is_dir():
            raise ValueError(
                f"`source` must be a folder of the kind {kind}. Received: {path}, which is a file"
            )
        source = KINDS[kind](path)
        if remote.is_remote(path):
            source = dataclasses.replace(source, path=str(path))
    if split is None:
        return source
    videos = [video for video in source.videos if video.split == split]
    if not videos:
        has = f"has the splits {source.splits}" if source.splits else "has no splits"
        raise ValueError(
            f"`split` must be one that the source has; {source.path}, of kind {source.kind}, "
            f"{has}. Received: split={split!r}"
        )
    return source.subset(videos)


def _is_camera(source):
    folder_named_by_a_number = str(source).isdigit() and Path(str(source)).exists()
    return camera_address.is_camera(source) and not folder_named_by_a_number


def _is_stream(path, kind):
    """Whether a remote path is a camera's stream: the server is asked where its end tells not."""
    if kind is not None or not path.url.lower().startswith("http") or path.url.endswith("/"):
        return False
    if path.suffix.lower() in VIDEO_SUFFIXES | IMAGE_SUFFIXES:
        return False
    try:
        return path.stat().content_type == "multipart/x-mixed-replace"
    except OSError as error:
        # Whether it is one cannot be told now; a camera is a source while it is away, too.
        raise type(error)(
            f"{error}; a camera of that address is opened with kind='camera', or with 'mjpeg+' "
            "before 'http'"
        ) from None


def _kind_of(path):
    if not path.is_dir():
        return "video_files"
    if not any(path.iterdir()):
        raise ValueError(f"`source` {path} is an empty folder")
    if shards.is_source(path):
        return "shards"
    if isinstance(path, remote.RemotePath):
        return _kind_of_files(path)
    if synthetic_cctv.is_source(path):
        return "synthetic_cctv"
    if ucsd.is_source(path):
        return "ucsd"
    if moving_mnist.is_source(path):
        return "moving_mnist"
    if weizmann.is_source(path):
        return "weizmann"
    return _kind_of_files(path)


def _kind_of_files(path):
    suffixes = {file.suffix.lower() for file in files_below(path)}
    if suffixes & VIDEO_SUFFIXES:
        return "video_files"
    if suffixes & IMAGE_SUFFIXES:
        return "frame_folders"
    raise ValueError(
        f"`source` {path} holds neither videos nor images; the kinds that can be read are "
        f"{sorted(KINDS)}"
    )


__all__ = ["KINDS", "Source", "Video", "open_source"]
