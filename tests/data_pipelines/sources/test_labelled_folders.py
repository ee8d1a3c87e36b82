import pytest

from data_pipelines import open_source


def test_the_class_is_the_folder(tmp_path, write_video, write_images):
    write_video(tmp_path / "walk" / "10.avi", frames=3)
    write_video(tmp_path / "walk" / "9.avi", frames=3)
    write_video(tmp_path / "run" / "ann" / "1.avi", frames=3)
    write_images(tmp_path / "jump" / "ann" / "clip1", ["1.png", "2.png"], [1, 2])
    write_images(tmp_path / "jump" / "clip2", ["1.png"], [3])
    source = open_source(tmp_path, kind="labelled_folders")
    assert source.kind == "labelled_folders"
    assert [(v.name, v.label, v.group, v.num_frames) for v in source.videos] == [
        ("jump/ann/clip1", "jump", "ann", 2),
        ("jump/clip2", "jump", "jump/clip2", 1),
        ("run/ann/1.avi", "run", "ann", 3),
        ("walk/9.avi", "walk", "walk/9.avi", 3),
        ("walk/10.avi", "walk", "walk/10.avi", 3),
    ]


def test_a_class_without_clips_is_refused(tmp_path, write_video):
    write_video(tmp_path / "walk" / "1.avi", frames=2)
    (tmp_path / "run").mkdir()
    with pytest.raises(ValueError, match="class folder .*run holds neither videos nor images"):
        open_source(tmp_path, kind="labelled_folders")


def test_a_folder_without_classes_is_refused(tmp_path, write_video):
    write_video(tmp_path / "1.avi", frames=2)
    with pytest.raises(ValueError, match="`source` must hold a folder per class"):
        open_source(tmp_path, kind="labelled_folders")
