"""The UCSD anomaly detection dataset: Ped1 and Ped2, in the official layout and the usual copy.

Reference: Mahadevan, Li, Bhalodia and Vasconcelos, Anomaly Detection in Crowded Scenes, CVPR 2010.
"""

import re
from pathlib import Path

import numpy as np

from data_pipelines.sources.base import ImageFiles, Source, folders_in, images_in, read_image

# The dataset's frames were taken at 10 per second.
FPS = 10.0


class UCSDVideo(ImageFiles):
    """One clip of the dataset with its truth.

    Args:
        name: Name within the source.
        paths: Frames in order.
        intervals: List of abnormal `(first, last)` frames, counted from 1, both inclusive, or
            `None` for a training clip, in which all is normal.
        mask_paths: One mask per frame, in order, or `None`.
        split: `"train"` or `"test"`.
    """

    def __init__(self, name, paths, *, intervals, mask_paths, split):
        super().__init__(name, paths, group=name, split=split, fps=FPS)
        self.intervals = intervals
        self.mask_paths = mask_paths

    def frame_labels(self):
        if self.intervals is None and self.split == "test":
            return None
        labels = np.zeros(self.num_frames, bool)
        for first, last in self.intervals or ():
            labels[first - 1 : last] = True
        return labels

    def masks(self):
        if self.mask_paths is None:
            return None
        return (read_image(path).max(axis=-1) > 0 for path in self.mask_paths)


def is_source(path):
    """Says whether `path` has one of the two layouts."""
    return _layout(Path(path)) is not None


def open_source(path):
    """Opens UCSD Ped1 or Ped2.

    Two layouts are read: the official release, `Train/TrainNNN/NNN.tif`, `Test/TestNNN/NNN.tif`
    with `Test/UCSDpedN.m` and `Test/TestNNN_gt`; and that of most papers' code,
    `training/frames/NN/NNN.jpg`, `testing/frames/NN/NNN.jpg` with the `.m` file and
    `masks/TestNNN_gt` beside them. Test clips without a `.m` file have no truth.

    Args:
        path: Folder of one of the two scenes.

    Returns:
        `Source` of kind `"ucsd"`, 10 frames per second, splits `"train"` and `"test"`.

    Raises:
        ValueError: Neither layout; or the truth does not fit the clips.
    """
    path = Path(path)
    layout = _layout(path)
    if layout is None:
        raise ValueError(
            f"{path} is not laid out as UCSD: neither training/frames and testing/frames nor "
            "Train/TrainNNN and Test/TestNNN are there"
        )
    train, test, truth_folders = layout
    videos = [
        UCSDVideo(f"train/{folder.name}", images, intervals=None, mask_paths=None, split="train")
        for folder, images in _clips(train)
    ]
    tests = list(_clips(test))
    intervals = _intervals(truth_folders, len(tests))
    for number, (folder, images) in enumerate(tests):
        videos.append(
            UCSDVideo(
                f"test/{folder.name}",
                images,
                intervals=intervals and _checked(intervals[number], folder, len(images)),
                mask_paths=_masks(truth_folders, folder.name, len(images)),
                split="test",
            )
        )
    if not videos:
        raise ValueError(f"{path} is laid out as UCSD but holds no frame")
    return Source("ucsd", path, videos)


def parse_truth(text):
    """Reads the abnormal intervals out of the dataset's `.m` file.

    Args:
        text: Content of the file: one `...gt_frame = [61:180];` per test clip, in order; several
            intervals or single frames are separated by commas or spaces.

    Returns:
        List per clip of `(first, last)`, counted from 1, both inclusive.

    Example:
        >>> parse_truth("T{end+1}.gt_frame = [5:90, 140:200];")
        [[(5, 90), (140, 200)]]
    """
    text = "\n".join(line.split("%")[0] for line in text.splitlines())
    clips = []
    for content in re.findall(r"gt_frame\s*=\s*\[([^\]]*)\]", text):
        content = re.sub(r"\s*:\s*", ":", content)
        ends = [part.split(":") for part in re.split(r"[\s,;]+", content) if part]
        clips.append([(int(end[0]), int(end[-1])) for end in ends])
    return clips


def _layout(path):
    for train, test in (("training/frames", "testing/frames"), ("Train", "Test")):
        if (path / train).is_dir() or (path / test).is_dir():
            if train == "Train" and not any(_clips(path / train)) and not any(_clips(path / test)):
                continue
            return path / train, path / test, (path, path / "Test", path / "masks")
    return None


def _clips(folder):
    if not folder.is_dir():
        return
    for clip in folders_in(folder):
        # Numbered folders only: masks lie beside the clips as TestNNN_gt in the official layout.
        if re.fullmatch(r"(Train|Test)?\d+", clip.name):
            images = images_in(clip)
            if images:
                yield clip, images


def _intervals(folders, count):
    for folder in folders:
        for file in sorted(folder.glob("*.m")) if folder.is_dir() else ():
            clips = parse_truth(file.read_text(errors="replace"))
            if not clips:
                continue
            if len(clips) != count:
                raise ValueError(f"{file} tells of {len(clips)} test clips; {count} are there")
            return clips
    return None


def _checked(intervals, folder, num_frames):
    for first, last in intervals:
        if not 1 <= first <= last <= num_frames:
            raise ValueError(
                f"the abnormal interval {first}:{last} does not fit the {num_frames} frames "
                f"of {folder}"
            )
    return intervals


def _masks(folders, name, num_frames):
    number = int(re.sub(r"\D", "", name))
    for folder in folders:
        masks = folder / f"Test{number:03d}_gt"
        images = images_in(masks) if masks.is_dir() else []
        if not images:
            continue
        if len(images) != num_frames:
            raise ValueError(f"{masks} holds {len(images)} masks for {num_frames} frames")
        return images
    return None
