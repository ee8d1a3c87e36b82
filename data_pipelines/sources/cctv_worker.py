"""Makes one file of an archive in a process of its own: OpenCV and NumPy, and nothing else.

Run as a program by `cctv_archive`, with the folder of the archive and the name of the video. It
starts in a third of a second, since the package is not run: that would import TensorFlow.
"""

import sys
import types
from pathlib import Path


def main(directory, name):
    """Makes a file of an archive that was begun.

    Args:
        directory: Folder of the archive.
        name: Of the video.
    """
    folder = Path(__file__).resolve().parent
    for package, path in (("data_pipelines", folder.parent), ("data_pipelines.sources", folder)):
        sys.modules[package] = types.ModuleType(package)
        sys.modules[package].__path__ = [str(path)]

    from data_pipelines.sources import cctv_archive

    directory = Path(directory)
    cctv_archive.make_file(directory, cctv_archive.read_plan(directory), name)


if __name__ == "__main__":
    main(*sys.argv[1:])
