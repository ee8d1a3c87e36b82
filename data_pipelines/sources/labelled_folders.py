"""Clips for classification: one folder per class, video files or folders of images in it."""

from data_pipelines import remote
from data_pipelines.sources import frame_folders, video_files
from data_pipelines.sources.base import (
    IMAGE_SUFFIXES,
    VIDEO_SUFFIXES,
    Source,
    files_below,
    folders_in,
)


def open_source(path):
    """Opens a folder of one folder per class.

    A class holds video files, or folders of images, maybe in folders of their own: the name of
    the folder between class and clip (a person, say) is the `group`, so that `walk/ann/1.avi` and
    `run/ann/7.avi` stay together in a split. A clip directly in its class is its own group.

    Args:
        path: Folder, local or remote.

    Returns:
        `Source` of kind `"labelled_folders"`; `label` is the name of the class folder.

    Raises:
        ValueError: No class folder, or one without a clip.
    """
    path = remote.as_path(path)
    videos, left_out = [], []
    for folder in folders_in(path):
        suffixes = {file.suffix.lower() for file in files_below(folder)}
        if suffixes & VIDEO_SUFFIXES:
            clips = video_files.open_source(folder)
        elif suffixes & IMAGE_SUFFIXES:
            clips = frame_folders.open_source(folder)
        else:
            raise ValueError(f"the class folder {folder} holds neither videos nor images")
        left_out += clips.left_out
        for video in clips.videos:
            parents = video.name.split("/")[:-1]
            video.label = folder.name
            video.name = f"{folder.name}/{video.name}"
            video.group = parents[0] if parents else video.name
            videos.append(video)
    if not videos:
        raise ValueError(f"`source` must hold a folder per class. Received: {path}, with none")
    return Source("labelled_folders", path, videos, tuple(left_out))
