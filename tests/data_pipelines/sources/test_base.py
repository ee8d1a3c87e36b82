import cv2
import numpy as np
import pytest

from data_pipelines.sources.base import ImageFiles, Source, Video, natural_order, read_image


def test_names_are_ordered_as_people_number_them():
    names = ["10.jpg", "9.jpg", "100.jpg", "frame2.png", "frame10.png", "Frame1.png", "1.jpg"]
    assert natural_order(names) == [
        "1.jpg", "9.jpg", "10.jpg", "100.jpg", "Frame1.png", "frame2.png", "frame10.png",
    ]


def test_folders_are_ordered_by_their_numbers_first():
    names = ["b10/1", "b2/9", "b2/10", "b2a/1", "b1/3"]
    assert natural_order(names) == ["b1/3", "b2/9", "b2/10", "b2a/1", "b10/1"]


def test_digits_that_int_does_not_read_are_letters():
    assert natural_order(["²", "b", "1"]) == ["1", "b", "²"]


def test_images_are_grey_or_rgb(tmp_path):
    colour = np.zeros((4, 5, 3), np.uint8)
    colour[..., 2] = 200
    cv2.imwrite(str(tmp_path / "red.png"), colour)
    cv2.imwrite(str(tmp_path / "grey.png"), colour[..., 2])
    cv2.imwrite(str(tmp_path / "deep.png"), np.full((4, 5), 40000, np.uint16))
    assert read_image(tmp_path / "red.png")[0, 0].tolist() == [200, 0, 0]
    assert read_image(tmp_path / "grey.png").shape == (4, 5, 1)
    assert read_image(tmp_path / "deep.png").dtype == np.uint8


def test_an_unreadable_image_is_named(tmp_path):
    (tmp_path / "bad.png").write_text("no image")
    with pytest.raises(ValueError, match=r"bad.png cannot be read as an image"):
        read_image(tmp_path / "bad.png")


def test_frames_may_start_later(tmp_path, write_images):
    write_images(tmp_path, ["1.png", "2.png", "3.png"], [10, 20, 30])
    video = ImageFiles("v", [tmp_path / f"{n}.png" for n in (1, 2, 3)])
    assert [int(f[0, 0, 0]) for f in video.frames(1)] == [20, 30]
    assert video.num_frames == 3 and video.length_is_certain


@pytest.mark.parametrize(
    ("name", "hour"),
    [
        ("gate/2024-05-01_08-30-00.mp4", 8.5),
        ("2024-05-01_08-30/20240502T2315.mp4", 23.25),
        ("cam1_20240501_000036", 0.01),
        ("2024-05-01/gate.mp4", None),
        ("gate_083000.mp4", None),
    ],
)
def test_a_name_with_date_and_time_of_day_tells_when_it_began(name, hour):
    assert Video(name).start_hour() == (hour if hour is None else pytest.approx(hour))


def test_videos_of_a_source_share_what_was_said(numbered, caplog):
    source = numbered(3, 3)
    for video in source.videos:
        video.warn_once("slow %d", 1)
    source.videos[0].warn_once("slow %d", 2)
    assert [r.message for r in caplog.records] == ["slow 1", "slow 2"]


def test_rate_and_splits_are_those_of_the_videos(array_video):
    frames = np.zeros((2, 4, 4, 1), np.uint8)
    videos = [array_video("a", frames, fps=10.0, split="train"),
              array_video("b", frames, fps=10.0, split="test")]
    source = Source("ucsd", None, videos)
    assert source.fps == 10.0 and source.splits == ("test", "train")
    assert source.subset(videos[:1]).splits == ("train",)
    videos[0].fps = 25.0
    assert source.fps is None
