import pytest

from data_pipelines import open_source


def test_frames_come_in_the_natural_order_of_names(tmp_path, write_images):
    names = ["frame10.png", "frame9.png", "frame1.png"]
    write_images(tmp_path, names, [100, 90, 10])
    (video,) = open_source(tmp_path).videos
    assert [int(f[0, 0, 0]) for f in video.frames()] == [10, 90, 100]
    assert video.name == tmp_path.name and video.fps is None


def test_every_folder_with_images_is_a_video(tmp_path, write_images):
    for folder, value in (("cam10", 1), ("cam2/b", 2), ("cam2/a", 3)):
        write_images(tmp_path / folder, ["1.png", "2.png"], [value, value])
    write_images(tmp_path / ".hidden", ["1.png"], [9])
    (tmp_path / "cam2" / "notes.txt").write_text("no image")
    source = open_source(tmp_path)
    assert source.kind == "frame_folders"
    assert [(v.name, v.group) for v in source.videos] == [
        ("cam2/a", "cam2"), ("cam2/b", "cam2"), ("cam10", "cam10"),
    ]
    assert [int(next(v.frames())[0, 0, 0]) for v in source.videos] == [3, 2, 1]


def test_a_folder_without_images_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="holds no image file"):
        open_source(tmp_path, kind="frame_folders")
