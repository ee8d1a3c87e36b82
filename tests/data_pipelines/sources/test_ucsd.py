import cv2
import numpy as np
import pytest

from data_pipelines import open_source
from data_pipelines.sources.ucsd import parse_truth

TRUTH = "TestVideoFile = {};\nTestVideoFile{end+1}.gt_frame = [2:3];\n"
TRUTH += "TestVideoFile{end+1}.gt_frame = [1, 4:5];\n"


@pytest.fixture(params=["copy", "official"])
def scene(request, tmp_path, write_images):
    """Two training clips and two test clips of 5 frames in one of the layouts."""
    official = request.param == "official"
    suffix = "tif" if official else "jpg"
    for split, folder in (("Train", "training/frames"), ("Test", "testing/frames")):
        for clip in (1, 2):
            place = f"{split}/{split}{clip:03d}" if official else f"{folder}/{clip:02d}"
            first = 1 if official else 0
            names = [f"{n + first:03d}.{suffix}" for n in range(5)]
            write_images(tmp_path / place, names, [40 * n for n in range(5)])
    masks = tmp_path / ("Test/Test001_gt" if official else "masks/Test001_gt")
    masks.mkdir(parents=True)
    for frame in range(5):
        mask = np.zeros((16, 24), np.uint8)
        mask[2:4, 5:8] = 255 * (frame in (1, 2))
        cv2.imwrite(str(masks / f"{frame + 1:03d}.{'bmp' if official else 'png'}"), mask)
    (tmp_path / ("Test/UCSDped2.m" if official else "UCSDped2.m")).write_text(TRUTH)
    if official:
        # As macOS leaves them in the archive.
        (tmp_path / "Test/Test001/._001.tif").write_bytes(b"\0\5\26\7")
    return tmp_path


def test_both_layouts_give_the_same_videos(scene):
    source = open_source(scene)
    assert source.kind == "ucsd" and source.fps == 10.0 and source.splits == ("test", "train")
    assert [v.split for v in source.videos] == ["train"] * 2 + ["test"] * 2
    assert len({v.name for v in source.videos}) == 4
    for video in source.videos:
        levels = [int(np.round(f.mean())) for f in video.frames()]
        assert np.abs(np.array(levels) - 40 * np.arange(5)).max() <= 1


def test_truth_counts_from_one_and_includes_the_last(scene):
    train, test = (open_source(scene, split=s).videos for s in ("train", "test"))
    assert not any(v.frame_labels().any() for v in train)
    assert test[0].frame_labels().tolist() == [False, True, True, False, False]
    assert test[1].frame_labels().tolist() == [True, False, False, True, True]


def test_masks_lie_where_the_truth_says(scene):
    first, second = open_source(scene, split="test").videos
    masks = np.stack(list(first.masks()))
    assert masks.dtype == bool and masks.shape == (5, 16, 24)
    np.testing.assert_array_equal(masks.any((1, 2)), first.frame_labels())
    assert masks[1].sum() == 6
    assert second.masks() is None


def test_the_truth_file_is_read_in_all_its_forms():
    text = """% TestVideoFile{end+1}.gt_frame = [9:9];
    TestVideoFile{end+1}.gt_frame = [60:152];
    TestVideoFile{end+1}.gt_frame = [5:90, 140:200];
    TestVideoFile{end+1}.gt_frame = [ 1 : 4 7 ];
    TestVideoFile{end+1}.gt_frame = [];"""
    assert parse_truth(text) == [[(60, 152)], [(5, 90), (140, 200)], [(1, 4), (7, 7)], []]


def test_without_a_truth_file_nothing_is_claimed(scene):
    next(scene.rglob("*.m")).unlink()
    assert [v.frame_labels() for v in open_source(scene, split="test").videos] == [None, None]


@pytest.mark.parametrize(
    "truth,message",
    [
        (TRUTH.splitlines()[1], "tells of 1 test clips; 2 are there"),
        (TRUTH.replace("4:5", "4:6"), "the abnormal interval 4:6 does not fit the 5 frames"),
        (TRUTH.replace("2:3", "0:3"), "the abnormal interval 0:3 does not fit"),
    ],
)
def test_truth_that_does_not_fit_is_refused(scene, truth, message):
    next(scene.rglob("*.m")).write_text(truth)
    with pytest.raises(ValueError, match=message):
        open_source(scene)


def test_masks_that_do_not_fit_are_refused(scene):
    folder = next(scene.rglob("Test001_gt"))
    next(iter(folder.iterdir())).unlink()
    with pytest.raises(ValueError, match="holds 4 masks for 5 frames"):
        open_source(scene)


def test_another_layout_is_refused(tmp_path):
    (tmp_path / "Train").mkdir()
    with pytest.raises(ValueError, match="is not laid out as UCSD"):
        open_source(tmp_path, kind="ucsd")


@pytest.mark.real_data
def test_ped2_is_as_its_readme_counts(real_data):
    train, test = (open_source(real_data / "ucsd_ped2", split=s).videos for s in ("train", "test"))
    assert (len(train), sum(v.num_frames for v in train)) == (16, 2550)
    assert (len(test), sum(v.num_frames for v in test)) == (12, 2010)
    assert sum(int(v.frame_labels().sum()) for v in test) == 1648
    assert next(test[0].frames()).shape[:2] == (240, 360)
    # Nothing is marked in a normal frame, and something in nearly every abnormal one.
    for video in (test[0], test[2]):
        marked = np.array([mask.any() for mask in video.masks()])
        assert (marked == video.frame_labels()).mean() > 0.97
