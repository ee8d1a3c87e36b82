"""Videos kept as folders of image files, one file per frame, in the natural order of names."""

from data_pipelines import remote
from data_pipelines.sources.base import ImageFiles, Source, folders_in, images_in


def open_source(path):
    """Opens a folder of images, or a folder of such folders at any depth.

    Every folder that holds images is one video, named by its path within `path` and grouped by
    the first folder of that. Nothing says the frame rate of images: `fps` is `None`.

    Args:
        path: Folder, local or remote.

    Returns:
        `Source` of kind `"frame_folders"`.

    Raises:
        ValueError: No image in it.
    """
    path = remote.as_path(path)
    videos = []
    for folder in _folders_below(path):
        images = images_in(folder)
        if images:
            name = folder.relative_to(path).as_posix() if folder != path else path.name
            videos.append(ImageFiles(name, images, group=name.split("/")[0]))
    if not videos:
        raise ValueError(f"{path} holds no image file, directly or in its folders")
    return Source("frame_folders", path, videos)


def _folders_below(folder):
    yield folder
    for child in folders_in(folder):
        yield from _folders_below(child)
