"""Footage prepared as shards: the same bytes however it comes about, and nothing lost."""

import json
import os
import resource
import shutil

import cv2
import numpy as np
import pytest
import s3fs
import tensorflow as tf

import data_pipelines
from data_pipelines import ClipSpec, Source, load, open_source, prepare, shards
from data_pipelines.shards import Form, plan

SMALL = {"fps": 10, "size": (24, 32), "quality": "lossless"}
CLIP = ClipSpec(frames=4, stride=2, fps=10, size=(24, 32))


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch):
    monkeypatch.setattr(shards, "SHARD_FRAMES", 30)


@pytest.fixture
def footage(tmp_path, write_video):
    """Videos of 20, 9, 70, 5 and 25 frames: of 30 a shard these are units of 29, 70 and 30."""
    for number, frames in enumerate((20, 9, 70, 5, 25)):
        write_video(tmp_path / "footage" / f"{number}.avi", frames=frames)
    return tmp_path / "footage"


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def pixels(stream):
    return [np.asarray(clip) for clip in stream]


class Killed(BaseException):
    pass


def killed_after(frames):
    def report(done, total, name):
        if done == frames:
            raise Killed

    return report


def test_short_videos_share_a_shard_and_a_long_one_has_several(tmp_path, footage):
    units = plan(open_source(footage).videos, Form(fps=10, shard_frames=30))
    assert [[video.name for video in unit.videos] for unit in units] == [
        ["0.avi", "1.avi"], ["2.avi"], ["3.avi", "4.avi"],
    ]  # fmt: skip
    # At half the rate more of them go together.
    halved = plan(open_source(footage).videos, Form(fps=5, shard_frames=30))
    assert [unit.first for unit in halved] == [0, 2, 3]
    found = prepare(footage, tmp_path / "shards", **SMALL)
    assert found["frames"] == 129 and found["videos"] == 5 and found["kept"] == 0
    index = json.loads((tmp_path / "shards" / "index.json").read_text())
    assert {shard["name"]: shard["spans"] for shard in index["shards"]} == {
        "shard-00000-00000.tfrecord": [[0, 0, 20], [1, 0, 9]],
        "shard-00001-00000.tfrecord": [[2, 0, 30]], "shard-00001-00001.tfrecord": [[2, 30, 30]],
        "shard-00001-00002.tfrecord": [[2, 60, 10]],
        "shard-00002-00000.tfrecord": [[3, 0, 5], [4, 0, 25]],
    }  # fmt: skip
    assert [video["frames"] for video in index["videos"]] == [20, 9, 70, 5, 25]
    assert set(content(tmp_path / "shards")) == {
        "index.json", "index.npz", *(shard["name"] for shard in index["shards"])
    }
    assert str(tmp_path) not in (tmp_path / "shards" / "index.json").read_text()


def test_tensorflow_reads_the_shards_and_sha256sum_knows_them(tmp_path, footage):
    prepare(footage, tmp_path / "shards", **SMALL)
    index = json.loads((tmp_path / "shards" / "index.json").read_text())
    names = [str(tmp_path / "shards" / shard["name"]) for shard in index["shards"]]
    stream = tf.data.TFRecordDataset(names).map(lambda frame: tf.io.decode_png(frame, 1))
    found = np.stack(list(stream.as_numpy_iterator()))
    expected = [f for v in open_source(footage).videos for f in v.sampled(None, (24, 32), 1)]
    np.testing.assert_array_equal(found, expected)
    import hashlib

    for name, shard in zip(names, index["shards"], strict=True):
        with open(name, "rb") as file:
            assert hashlib.file_digest(file, "sha256").hexdigest() == shard["sha256"]


@pytest.mark.parametrize("options", [
    {}, {"cache": "memory", "shuffle": True, "seed": 3, "augment": ("flip",), "skip": 1},
    {"shuffle": 1, "seed": 3, "augment": ("flip",), "batch": 3, "first_epoch": 2, "repeat": True,
     "skip": 25},
], ids=str)  # fmt: skip
def test_the_stream_is_that_of_the_footage_kept_in_memory(tmp_path, footage, options):
    prepare(footage, tmp_path / "shards", **SMALL)
    clip = ClipSpec(frames=4, stride=2, fps=10, size=(24, 32), crop=(16, 16), crop_mode="random")
    found = pixels(load(tmp_path / "shards", clip, **options).take(60))
    expected = pixels(load(footage, clip, **{**options, "cache": "memory"}).take(60))
    assert len(found) == len(expected) > 10
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_shuffle_mixes_all_videos_and_gives_each_window_once(tmp_path, footage):
    prepare(footage, tmp_path / "shards", **SMALL)
    options = {"shuffle": True, "seed": 5, "labels": None}
    ordered = [clip.tobytes() for clip in pixels(load(tmp_path / "shards", CLIP))]
    found = [clip.tobytes() for clip in pixels(load(tmp_path / "shards", CLIP, **options))]
    assert len(found) == 58
    assert sorted(found) == sorted(ordered) and found != ordered
    for skip, workers in ((20, 1), (57, 3)):
        again = load(tmp_path / "shards", CLIP, **options, skip=skip, workers=workers)
        assert [clip.tobytes() for clip in pixels(again)] == found[skip:]


def test_shards_are_read_at_lower_rates_and_other_sizes_too(tmp_path, footage):
    prepare(footage / "2.avi", tmp_path / "shards", fps=10, quality="lossless", channels=3)
    clip = ClipSpec(frames=3, fps=4, size=(12, 16), channels=1)
    for options in ({}, {"windows_per_epoch": 10, "seed": 1}, {"cache": "memory"}):
        found = pixels(load(tmp_path / "shards", clip, **options))
        images = tmp_path / "images"
        if not images.exists():
            # The very frames, as a source that brings itself to a rate in the same way.
            for video in open_source(tmp_path / "shards").videos:
                (images / video.name).mkdir(parents=True)
                for number, frame in enumerate(video.frames()):
                    cv2.imwrite(str(images / video.name / f"{number}.png"), frame[..., ::-1])
        source = open_source(images)
        for video in source.videos:
            video.fps = 10.0
        expected = pixels(load(source, clip, **options))
        assert len(found) == len(expected) > 5
        np.testing.assert_array_equal(found, expected)


def test_the_bytes_do_not_depend_on_the_number_of_workers(tmp_path, footage):
    folders = [tmp_path / f"shards{workers}" for workers in (1, 2, 4)]
    for folder, workers in zip(folders, (1, 2, 4), strict=True):
        prepare(footage, folder, **SMALL, workers=workers)
    assert content(folders[0]) == content(folders[1]) == content(folders[2])
    assert len(content(folders[0])) == 7


@pytest.mark.parametrize("frames", [30, 75, 129])
def test_broken_off_it_goes_on_to_the_same_bytes(tmp_path, footage, frames, monkeypatch):
    prepare(footage, tmp_path / "whole", **SMALL)
    with pytest.raises(Killed):
        prepare(footage, tmp_path / "shards", **SMALL, workers=1, progress=killed_after(frames))
    # What a kill leaves in the middle of writing.
    (tmp_path / "shards" / "shard-00002-00000.tfrecord.part").write_bytes(b"half")
    (tmp_path / "shards" / "shard-00002-00000.tfrecord").write_bytes(b"not told of")
    with pytest.raises(ValueError, match="must hold finished shards"):
        open_source(tmp_path / "shards")
    encoded = []
    monkeypatch.setattr(
        shards, "encoded", lambda *a, real=shards.encoded: (encoded.append(1), real(*a))[1]
    )
    found = prepare(footage, tmp_path / "shards", **SMALL, workers=1)
    assert content(tmp_path / "shards") == content(tmp_path / "whole")
    # Whole shards are not made again: 29 frames, then 30, 30 and 10, then 30.
    there, kept = {30: (29, 1), 75: (59, 2), 129: (99, 4)}[frames]
    assert found["kept"] == kept and len(encoded) == 129 - there


def test_killed_at_the_very_end_it_is_done(tmp_path, footage, monkeypatch):
    prepare(footage, tmp_path / "whole", **SMALL)
    with monkeypatch.context() as patch:
        patch.setattr(shards.shutil, "rmtree", lambda *_, **__: None)
        prepare(footage, tmp_path / "shards", **SMALL)
    assert (tmp_path / "shards" / ".progress").is_dir()
    monkeypatch.setattr(shards, "unit_shards", None)  # not called
    found = prepare(footage, tmp_path / "shards", **SMALL)
    assert found["kept"] == found["shards"] == 5
    assert content(tmp_path / "shards") == content(tmp_path / "whole")


@pytest.mark.parametrize("change", ["content", "longer", "shorter", "gone"])
def test_what_changed_meanwhile_is_made_anew(tmp_path, footage, write_video, change):
    with pytest.raises(Killed):
        prepare(footage, tmp_path / "shards", **SMALL, workers=1, progress=killed_after(128))
    if change == "content":
        write_video(footage / "2.avi", frames=70, size=(96, 128))
    elif change == "gone":
        (footage / "0.avi").unlink()
    else:
        write_video(footage / "1.avi", frames={"longer": 25, "shorter": 3}[change])
    found = prepare(footage, tmp_path / "shards", **SMALL)
    assert found["kept"] == {"content": 1, "longer": 0, "shorter": 3, "gone": 0}[change]
    prepare(footage, tmp_path / "whole", **SMALL)
    assert content(tmp_path / "shards") == content(tmp_path / "whole")


def test_what_changes_while_it_is_prepared_is_said_and_made_anew(tmp_path, footage):
    def grows(done, total, name):
        if done == 60:
            with open(footage / "1.avi", "ab") as file:
                file.write(bytes(9))

    with pytest.raises(OSError, match="^1.avi has changed while it was prepared: it is still"):
        prepare(footage, tmp_path / "shards", **SMALL, workers=1, progress=grows)
    assert not (tmp_path / "shards" / "index.json").exists()
    assert prepare(footage, tmp_path / "shards", **SMALL)["kept"] == 4
    prepare(footage, tmp_path / "whole", **SMALL)
    assert content(tmp_path / "shards") == content(tmp_path / "whole")


@pytest.mark.parametrize("scheme", ["http", "s3"])
def test_what_changes_elsewhere_while_it_is_prepared_is_said(
    request, tmp_path, write_video, web, scheme
):
    write_video(tmp_path / "web" / "a.avi", frames=40)
    if scheme == "http":
        address = f"{web.url}/"
    else:
        address = request.getfixturevalue("bucket")(tmp_path / "web")

    def replaced(done, total, name):
        if done == 40:
            path = write_video(tmp_path / "web" / "a.avi", frames=41)
            os.utime(path, (1, 1))
            if scheme == "s3":
                s3fs.S3FileSystem().pipe_file(f"{address}/a.avi", path.read_bytes())

    with pytest.raises(OSError, match="a.avi has changed while it was prepared"):
        prepare(address, tmp_path / "shards", **SMALL, workers=1, progress=replaced)


@pytest.mark.parametrize("out", ["film.avi", "film.avi/in"])
def test_a_folder_that_is_none_is_named(tmp_path, footage, out):
    (tmp_path / "film.avi").write_bytes(b"")
    with pytest.raises(ValueError, match="`out` must be a folder. .*, where .*film.avi is a file"):
        prepare(footage, tmp_path / out, **SMALL)


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path, footage, monkeypatch):
    def refuses(path, **arguments):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(shards.Path, "mkdir", refuses)
    with pytest.raises(PermissionError, match="`out` .*/shards cannot be written to: Permission"):
        prepare(footage, tmp_path / "shards", **SMALL)


def test_what_another_process_has_just_finished_is_taken(tmp_path, footage, monkeypatch):
    prepare(footage, tmp_path / "shards", **SMALL)
    finished, asked = shards.finished, []

    def not_yet(*arguments):
        asked.append(arguments)
        return None if len(asked) == 1 else finished(*arguments)

    monkeypatch.setattr(shards, "finished", not_yet)
    assert prepare(footage, tmp_path / "shards", **SMALL)["kept"] == 5


def test_a_finished_folder_is_left_as_it_is_and_kept_from_others(tmp_path, footage, write_video):
    prepare(footage, tmp_path / "shards", **SMALL)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "shards").iterdir()}
    assert prepare(footage, tmp_path / "shards", **SMALL)["kept"] == 5
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "shards").iterdir()} == before
    with pytest.raises(ValueError, match="`out` must be a new .* `quality` .* Received: .*=90"):
        prepare(footage, tmp_path / "shards", **{**SMALL, "quality": 90})
    os.utime(footage / "3.avi", (1, 1))
    with pytest.raises(ValueError, match="footage is another: 1 videos .* and 3.avi"):
        prepare(footage, tmp_path / "shards", **SMALL)
    (tmp_path / "shards" / "shard-00001-00001.tfrecord").write_bytes(b"cut off")
    with pytest.raises(ValueError, match="has lost 1 of its shards or a part .*00001-00001.tfr"):
        prepare(footage, tmp_path / "shards", **SMALL)
    (tmp_path / "shards" / "index.npz").write_bytes(b"")
    with pytest.raises(ValueError, match="`out` .*index.npz that is damaged.*delete it"):
        prepare(footage, tmp_path / "shards", **SMALL)


def test_an_unfinished_folder_is_kept_from_others(tmp_path, footage):
    with pytest.raises(Killed):
        prepare(footage, tmp_path / "shards", **SMALL, progress=killed_after(40))
    with pytest.raises(ValueError, match="where `size` is another"):
        prepare(footage, tmp_path / "shards", **{**SMALL, "size": (48, 64)})
    with pytest.raises(ValueError, match="where `kind` is another"):
        prepare(footage, tmp_path / "shards", **SMALL, kind="video_files")
    shutil.copytree(footage, tmp_path / "other")
    with pytest.raises(ValueError, match="where `source` is another"):
        prepare(tmp_path / "other", tmp_path / "shards", **SMALL)


def test_a_full_disk_is_said_and_what_is_whole_stays(tmp_path, footage):
    size, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    prepare(footage, tmp_path / "whole", **SMALL)
    sizes = sorted(path.stat().st_size for path in (tmp_path / "whole").glob("*.tfrecord"))
    resource.setrlimit(resource.RLIMIT_FSIZE, (sizes[2], hard))
    try:
        with pytest.raises(OSError, match=r"shard-0000.-0000..tfrecord cannot be written: File"):
            prepare(footage, tmp_path / "shards", **SMALL, workers=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    assert not list((tmp_path / "shards").glob("*.part"))
    prepare(footage, tmp_path / "shards", **SMALL)
    assert content(tmp_path / "shards") == content(tmp_path / "whole")


def test_what_cannot_be_is_refused(tmp_path, footage):
    for arguments, message in (
        ({"quality": 0}, "`quality` must be a whole number from 1 to 100, or 'lossless'"),
        ({"quality": "high"}, "`quality` must be .* Received: quality='high'"),
        ({"channels": 2}, "`channels` must be 1"), ({"size": (0, 4)}, "`size` must be"),
        ({"workers": 0}, "`workers` must be at least 1"), ({"fps": 0}, "`fps` must be above 0"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            prepare(footage, tmp_path / "shards", **arguments)
    with pytest.raises(ValueError, match="`out` must be a folder on this machine"):
        prepare(footage, "s3://bucket/shards")
    with pytest.raises(ValueError, match="`out` must not be in the footage"):
        prepare(footage, footage / "shards")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "notes").write_text("mine")
    with pytest.raises(ValueError, match="`out` must be a new or an empty folder.* holds notes"):
        prepare(footage, tmp_path / "taken")
    assert [path.name for path in (tmp_path / "taken").iterdir()] == ["notes"]
    camera = data_pipelines.sources.camera.open_source("http://localhost:1/a.mjpg")
    with pytest.raises(ValueError, match="`source` must be recorded footage"):
        prepare(camera, tmp_path / "shards")
    assert not (tmp_path / "shards").exists()


def test_classes_groups_splits_and_odd_names_stay(tmp_path, write_video, write_images):
    names = ("two words", "line\nbreak", "Straße")
    for number, name in enumerate(names):
        write_video(tmp_path / "clips" / f"class {number}" / name / f"{name}.avi", frames=1)
    source = open_source(tmp_path / "clips", kind="labelled_folders")
    source.videos[1].split = "test"
    prepare(source, tmp_path / "shards")
    found = open_source(tmp_path / "shards")
    assert found.kind == "shards" and found.labels == ("class 0", "class 1", "class 2")
    for video, known in zip(found.videos, source.videos, strict=True):
        for about in ("name", "label", "group", "split", "fps"):
            assert getattr(video, about) == getattr(known, about)
        assert video.num_frames == 1 == len(list(video.frames()))
        assert video.frame_labels() is None
    one = ClipSpec(frames=1)
    (test,) = load(tmp_path / "shards", one, split="test", labels=found.labels, shuffle=True)
    assert int(test[1]) == 1
    classes = [int(label) for _, label in load(tmp_path / "shards", one, labels=found.labels)]
    assert classes == [0, 1, 2]


def test_a_rate_that_varies_is_kept_with_its_times(tmp_path, film, street):
    # Slower after the first second, and a pause of two seconds that no frame stands for.
    times = [*np.arange(20) / 20, *(1 + np.arange(20) / 8), *(5.5 + np.arange(20) / 8)]
    film(tmp_path / "footage" / "a.mkv", street(60, size=(48, 64)), rate=20, times=times)
    prepare(tmp_path / "footage", tmp_path / "shards", quality="lossless")
    (video,), (known,) = (open_source(tmp_path / name).videos for name in ("shards", "footage"))
    found = [time_sec for time_sec, _ in video.timed()]
    np.testing.assert_allclose(found, times, atol=0.001)
    for fps in (None, 5, 2):
        expected = list(known.timed(fps, None, 1))
        assert video.length_at(fps) == len(expected)
        for (at, frame), (at_known, frame_known) in zip(video.timed(fps), expected, strict=True):
            assert at == pytest.approx(at_known, abs=0.001)
            np.testing.assert_array_equal(frame, frame_known)
        np.testing.assert_array_equal(
            video.window(3, 4, fps), [frame for _, frame in expected[3:7]]
        )


def test_a_shard_ends_at_so_many_bytes_too(tmp_path, footage):
    form = Form(fps=10, size=(24, 32), quality="lossless", shard_bytes=1000)
    (unit,) = plan(open_source(footage / "2.avi").videos, form)
    made = list(shards.unit_shards(unit, form))
    assert [last for *_, last in made] == [False] * (len(made) - 1) + [True]
    for shard, content, _ in made[:-1]:
        assert shard.size == len(content) >= 1000 > shard.size - shard.lengths[-1]
    assert sum(len(shard.lengths) for shard, *_ in made) == 70
    # Going on after some of them gives the others.
    rest = list(shards.unit_shards(unit, form, [shard for shard, *_ in made[:3]]))
    assert [(s.to_dict(), c) for s, c, _ in rest] == [(s.to_dict(), c) for s, c, _ in made[3:]]


def test_a_source_without_files_is_prepared(tmp_path, numbered):
    source = numbered(12, 40)
    calls = []
    found = prepare(source, tmp_path / "shards", quality="lossless", fps=7, workers=1,
                    progress=lambda *told: calls.append(told))  # fmt: skip
    assert found["frames"] == 52 == len(calls)
    assert calls[0] == (1, 52, "video0") and calls[-1] == (52, 52, "video1")
    for video, known in zip(open_source(tmp_path / "shards").videos, source.videos, strict=True):
        assert video.fps == 7
        np.testing.assert_array_equal(list(video.frames()), known.pixels)


def test_footage_without_a_frame_is_refused(tmp_path, array_video):
    nothing = array_video("nothing", np.zeros((0, 8, 8, 1), np.uint8))
    with pytest.raises(ValueError, match="`source` must hold a frame that can be read"):
        prepare(Source("frame_folders", None, [nothing]), tmp_path / "shards")
