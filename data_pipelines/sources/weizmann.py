"""The Weizmann actions as strips: `ACTION/PERSON_ACTION.jpg`, frames of 64x64 side by side.

Reference: Blank, Gorelick, Shechtman, Irani and Basri, Actions as Space-Time Shapes, ICCV 2005.
"""

import re
from pathlib import Path

from data_pipelines.sources.base import Source, Video, folders_in, images_in, read_image

# Pixels of a side of a frame in the strips.
SIDE = 64

# Frames per second of the dataset's video files.
FPS = 25.0



class Strip(Video):
    """A clip kept as one image, its frames side by side.

    Args:
        name: Name within the source.
        path: Image `SIDE` pixels high and a multiple of that wide.
        **about: As of `Video`.

    Raises:
        ValueError: The image has another size.
    """

    def __init__(self, name, path, **about):
        self.path = Path(path)
        height, width = read_image(self.path).shape[:2]
        if height != SIDE or width % SIDE:
            raise ValueError(
                f"{path} must be a strip of {SIDE}x{SIDE} frames side by side. "
                f"Received: {height}x{width} pixels"
            )
        super().__init__(name, num_frames=width // SIDE, fps=FPS, **about)

    @property
    def files(self):
        return [self.path]

    def frames(self, start=0):
        strip = read_image(self.path)
        for number in range(start, self.num_frames):
            yield strip[:, number * SIDE : (number + 1) * SIDE]


def is_source(path):
    """Says whether every folder of `path` holds images named after it."""
    folders = folders_in(Path(path))
    found = [(f.name, images[0]) for f in folders if (images := images_in(f))]
    return len(found) == len(folders) > 0 and all(_person(a, i.stem) for a, i in found)


def open_source(path):
    """Opens the folder of strips.

    Args:
        path: Folder of one folder per action.

    Returns:
        `Source` of kind `"weizmann"`, 25 frames per second; `label` is the action, `group` the
        person: split by `group`, never by clip.

    Raises:
        ValueError: No strip is there, or a file is not named `PERSON_ACTION`.
    """
    path = Path(path)
    videos = []
    for folder in folders_in(path):
        for image in images_in(folder):
            person = _person(folder.name, image.stem)
            if person is None:
                raise ValueError(f"{image} is not named PERSON_{folder.name}")
            videos.append(
                Strip(f"{folder.name}/{image.stem}", image, label=folder.name, group=person)
            )
    if not videos:
        raise ValueError(f"{path} holds no ACTION/PERSON_ACTION image")
    return Source("weizmann", path, videos)


def _person(action, stem):
    # Somebody who did an action twice has a number behind it: lena_walk1, lena_walk2.
    match = re.fullmatch(rf"([A-Za-z]+)_{re.escape(action)}\d?", stem)
    return match and match[1]
