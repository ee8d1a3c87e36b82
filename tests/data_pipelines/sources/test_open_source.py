import pytest

from data_pipelines import KINDS, open_source


def test_a_missing_path_is_named(tmp_path):
    with pytest.raises(ValueError, match="`source` .*nowhere does not exist"):
        open_source(tmp_path / "nowhere")


def test_an_empty_folder_is_named(tmp_path):
    with pytest.raises(ValueError, match="is an empty folder"):
        open_source(tmp_path)


def test_an_unknown_layout_lists_the_kinds(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(ValueError, match="neither videos nor images; .*'frame_folders'.*'ucsd'"):
        open_source(tmp_path)


def test_an_unknown_kind_lists_the_kinds(tmp_path):
    with pytest.raises(ValueError, match="`kind` must be one of .*'weizmann'.*kind='avi'"):
        open_source(tmp_path, kind="avi")
    assert sorted(KINDS) == ["camera", "frame_folders", "labelled_csv", "labelled_folders",
                             "moving_mnist", "shards", "synthetic_cctv", "ucsd", "video_files",
                             "weizmann"]


def test_only_a_video_file_is_footage_without_a_folder(tmp_path, write_video):
    file = write_video(tmp_path / "1.avi", frames=2)
    assert open_source(file).kind == open_source(file, kind="video_files").kind == "video_files"
    for kind in sorted(set(KINDS) - {"camera", "labelled_csv", "video_files"}):
        with pytest.raises(ValueError, match=f"^`source` must be a folder of the kind {kind}"):
            open_source(file, kind=kind)


def test_videos_go_before_images(tmp_path, write_video, write_images):
    write_video(tmp_path / "1.avi", frames=2)
    write_images(tmp_path / "stills", ["1.png"], [1])
    assert open_source(tmp_path).kind == "video_files"


def test_a_source_is_only_split(array_video, numbered):
    source = numbered(2, 2)
    assert open_source(source) is source
    source.videos[0].split, source.videos[1].split = "train", "test"
    assert open_source(source, split="test").videos == source.videos[1:]
    with pytest.raises(ValueError, match=r"has the splits \('test', 'train'\).*split='dev'"):
        open_source(source, split="dev")
