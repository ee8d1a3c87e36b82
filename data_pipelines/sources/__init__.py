"""Where video comes from: one module per layout, `open_source` over all of them."""

from pathlib import Path

from data_pipelines.sources import (
    camera,
    camera_address,
    frame_folders,
    labelled_folders,
    moving_mnist,
    synthetic_cctv,
    ucsd,
    video_files,
    weizmann,
)
from data_pipelines.sources.base import IMAGE_SUFFIXES, VIDEO_SUFFIXES, Source, Video, files_below

KINDS = {
    "camera": camera.open_source,
    "frame_folders": frame_folders.open_source,
    "labelled_folders": labelled_folders.open_source,
    "moving_mnist": moving_mnist.open_source,
    "synthetic_cctv": synthetic_cctv.open_source,
    "ucsd": ucsd.open_source,
    "video_files": video_files.open_source,
    "weizmann": weizmann.open_source,
}


def open_source(source, kind=None, split=None):
    """Opens footage, whichever of the known layouts it has.

    Args:
        source: Path of a file or folder, the address of a camera (see `camera.Camera`), or a
            `Source`, which is only split. A number is a folder where there is one of that name,
            else a camera.
        kind: One of `KINDS`, or `None` to tell it from the layout. `"labelled_folders"` is
            never guessed, nor that `http://...` is a camera: give `"camera"`, or the address as
            `mjpeg+http://...`.
        split: `"train"`, `"test"`, or `None` for all videos.

    Returns:
        `Source` whose `videos` have `frames()`, and truth where there is any.

    Raises:
        ValueError: Nothing at the path, an unknown kind or layout, nothing to read in it, or no
            such split.

    Example:
        >>> for video in open_source("footage/").videos:  # doctest: +SKIP
        ...     print(video.name, video.num_frames)
    """
    if not isinstance(source, Source):
        if kind == "camera" or (kind is None and _is_camera(source)):
            return open_source(camera.open_source(source), split=split)
        shown = camera_address.redacted(source)
        if "://" in shown:
            raise ValueError(
                f"`source` {shown} does not exist as a file or folder; a camera of that address "
                "is opened with kind='camera', or with 'mjpeg+' before 'http'"
            )
        path = Path(source)
        if not path.exists():
            raise ValueError(f"`source` {path} does not exist")
        if kind is not None and kind not in KINDS:
            raise ValueError(f"`kind` must be one of {sorted(KINDS)}. Received: kind={kind!r}")
        kind = kind or _kind_of(path)
        if kind != "video_files" and not path.is_dir():
            raise ValueError(
                f"`source` must be a folder of the kind {kind}. Received: {path}, which is a file"
            )
        source = KINDS[kind](path)
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


def _kind_of(path):
    if not path.is_dir():
        return "video_files"
    if not any(path.iterdir()):
        raise ValueError(f"`source` {path} is an empty folder")
    if synthetic_cctv.is_source(path):
        return "synthetic_cctv"
    if ucsd.is_source(path):
        return "ucsd"
    if moving_mnist.is_source(path):
        return "moving_mnist"
    if weizmann.is_source(path):
        return "weizmann"
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
