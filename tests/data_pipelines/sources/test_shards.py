"""Shards as a source: where they lie, and what is left of them when they are damaged."""

import numpy as np
import pytest

from data_pipelines import ClipSpec, Source, load, open_source, prepare, shards
from data_pipelines.shard_format import Index

CLIP = ClipSpec(frames=4, stride=1)


@pytest.fixture
def folder(tmp_path, web, array_video, monkeypatch):
    """Shards of 20 frames each of a video of 100 frames; before it one of 12, behind it one of 8.

    Frame f of the long video is of level 2 f, of the others of 201 + f and 221 + f.
    """
    monkeypatch.setattr(shards, "SHARD_FRAMES", 20)
    monkeypatch.setattr(shards, "SHARD_BYTES", 1 << 20)

    def video(name, levels):
        pixels = np.repeat(np.uint8(levels), 16 * 24).reshape(-1, 16, 24, 1)
        return array_video(name, pixels, fps=10.0, label=name, split="train")

    videos = [
        video("before", range(201, 213)), video("long", range(0, 200, 2)),
        video("behind", range(221, 229)),
    ]  # fmt: skip
    prepare(Source("frame_folders", None, videos), tmp_path / "web" / "shards", quality="lossless")
    return tmp_path / "web" / "shards"


@pytest.fixture
def both(folder, tmp_path):
    """A folder of the two short videos alone, which share its only shard."""
    source = open_source(folder)
    prepare(source.subset(source.videos[::2]), tmp_path / "both", quality="lossless")
    assert len(list((tmp_path / "both").glob("*.tfrecord"))) == 1
    return tmp_path / "both"


def levels(clip):
    return np.round(255 * np.asarray(clip)).astype(int)[:, 0, 0, 0].tolist()


def is_without_gap(row):
    steps = set(np.diff(row).tolist())
    return steps == {2} and row[0] < 200 or steps == {1} and row[0] > 200


def name_of(number, part):
    return f"shard-{number:05d}-{part:05d}.tfrecord"


def cut_off(path, share=0.5):
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])


def flip(path, place):
    content = bytearray(path.read_bytes())
    content[place] ^= 255
    path.write_bytes(bytes(content))


def place_of(folder, name, record):
    """A byte in the middle of a record."""
    index = Index.read(lambda file: (folder / file).read_bytes())
    (shard,) = [shard for shard in index.shards if shard.name == name]
    return int(shard.lengths[:record].sum()) + 20


def test_a_window_reads_its_own_records_and_no_others(folder, monkeypatch):
    read = []
    from data_pipelines.sources import shards as source_shards

    def range_read(path, offset, length, real=source_shards.remote.read_range):
        read.append((path.name, offset, length))
        return real(path, offset, length)

    monkeypatch.setattr(source_shards.remote, "read_range", range_read)
    video = open_source(folder).videos[1]
    assert video.indexed and video.length_is_certain and video.num_frames == 100
    assert [frame[0, 0, 0] for frame in video.window(38, 4)] == [76, 78, 80, 82]
    assert [name for name, *_ in read] == [name_of(1, 1), name_of(1, 2)]
    whole = (folder / name_of(1, 1)).stat().st_size
    assert read[0][1] + read[0][2] == whole and read[0][2] < whole / 5 and read[1][1] == 0
    assert [frame[0, 0, 0] for frame in video.window(98, 4)] == [196, 198]
    assert [frame[0, 0, 0] for frame in video.frames(97)] == [194, 196, 198]


def test_what_is_not_finished_or_damaged_is_said(folder):
    index = (folder / "index.json").read_bytes()
    (folder / "index.json").unlink()
    with pytest.raises(ValueError, match="must hold finished shards. Received: .*index.json"):
        open_source(folder)
    (folder / "index.json").write_bytes(index[:50])
    with pytest.raises(ValueError, match="`source` .*/shards has an index.json that is damaged"):
        open_source(folder)
    (folder / "index.json").write_bytes(index)
    for path in folder.glob("*.tfrecord"):
        path.write_bytes(b"")
    with pytest.raises(ValueError, match="holds no frame that can be read"):
        open_source(folder)


@pytest.mark.parametrize("damage", ["cut off", "gone", "flipped", "several flipped"])
@pytest.mark.parametrize("cache", [None, "memory", "disk"])
def test_a_damaged_shard_costs_its_own_windows(folder, tmp_path, damage, cache, caplog):
    path = folder / name_of(1, 2)
    lost = {"cut off": range(50, 60), "gone": range(40, 60), "flipped": [47],
            "several flipped": [40, 47, 59]}[damage]  # fmt: skip
    if damage == "cut off":
        path.write_bytes(path.read_bytes()[: place_of(folder, path.name, 10)])
    elif damage == "gone":
        path.unlink()
    else:
        for frame in lost:
            flip(path, place_of(folder, path.name, frame - 40))
    cache = tmp_path / "cache" if cache == "disk" else cache
    found = [levels(clip) for clip in load(folder, CLIP, cache=cache, shuffle=True)]
    assert all(map(is_without_gap, found))
    seen = sorted(row[0] // 2 for row in found if row[0] < 200)
    whole = [n for n in range(97) if not set(range(n, n + 4)) & set(lost)]
    assert seen == whole and len(found) == len(whole) + 9 + 5
    told = [line for line in caplog.messages if "lost" in line]
    what = "missing" if damage == "gone" else "damaged"
    assert told == [f"{path.name} of {folder} is {what}: {len(lost)} of its 20 frames are lost"]
    # A training goes on for as many windows each epoch, others in the place of those lost.
    endless = [levels(clip) for clip in load(folder, CLIP, shuffle=True, repeat=True).take(111)]
    assert all(map(is_without_gap, endless))
    if damage == "flipped":
        assert {tuple(row) for row in endless} == {tuple(row) for row in found}


def test_videos_that_share_a_shard_lose_their_own_frames(both, caplog):
    flip(both / name_of(0, 0), place_of(both, name_of(0, 0), 11))
    source = open_source(both)
    assert [len(list(video.frames())) for video in source.videos] == [11, 8]
    parts = [part for video in source.videos for part in video.readable_parts()]
    assert [(part.name, part.num_frames) for part in parts] == [("before", 11), ("behind", 8)]
    assert caplog.messages == [
        f"{name_of(0, 0)} of {both} is damaged: 1 of its 20 frames are lost",
        "before breaks off at a frame that cannot be read: the first 11 of 12 frames given",
    ]


def test_what_is_behind_a_gap_is_a_video_of_its_own(folder):
    (folder / name_of(1, 1)).unlink()
    cut_off(folder / name_of(1, 3), 0.99)
    source = open_source(folder, split="train")
    assert [(video.name, video.num_frames) for video in source.videos] == [
        ("before", 12), ("long", 20), ("long from frame 40", 39), ("long from frame 80", 20),
        ("behind", 8),
    ]  # fmt: skip
    assert [line.split()[0] for line in source.left_out] == [name_of(1, 1), name_of(1, 3)]
    video = source.videos[2]
    assert (video.label, video.split, video.fps) == ("long", "train", 10.0)
    assert [frame[0, 0, 0] for frame in video.window(19, 2)] == [118, 120]
    assert [frame[0, 0, 0] for frame in video.frames(37)] == [154, 156]
    assert video.files == [folder / name_of(1, 2), folder / name_of(1, 3)]


def test_when_a_video_began_stays_known_behind_a_gap_too(folder, array_video, tmp_path):
    source = open_source(folder)
    assert [video.start_hour() for video in source.videos] == [None] * 3
    long = source.videos[1]
    long.start_hour = lambda: 23.5
    prepare(source.subset([long]), tmp_path / "dated", quality="lossless")
    (tmp_path / "dated" / name_of(0, 1)).unlink()
    first, second = open_source(tmp_path / "dated").videos
    assert first.start_hour() == 23.5
    # Of ten frames per second, the first forty.
    assert second.start_hour() == pytest.approx(23.5 + 4 / 3600)


def test_frames_on_disk_of_videos_in_one_shard_are_kept_apart(both, tmp_path):
    source = open_source(both)
    for video, first in zip(source.videos, (201, 221), strict=True):
        stream = load(source.subset([video]), CLIP, cache=tmp_path / "cache")
        assert levels(next(iter(stream)))[0] == first


@pytest.mark.parametrize("scheme", ["http", "s3"])
def test_shards_are_read_where_they_are(request, folder, tmp_path, web, scheme, caplog):
    address = f"{web.url}/shards"
    if scheme == "s3":
        address = request.getfixturevalue("bucket")(folder)
    sparse = ClipSpec(frames=4, stride=15)  # each window is a request
    expected = [levels(clip) for clip in load(folder, sparse, shuffle=True, seed=2)]
    assert [levels(clip) for clip in load(address, sparse, shuffle=True, seed=2)] == expected
    options = {"windows_per_epoch": 2, "seed": 1}
    for a, b in zip(load(address, CLIP, **options), load(folder, CLIP, **options), strict=True):
        np.testing.assert_array_equal(a, b)
    assert open_source(address).kind == open_source(address, kind="shards").kind == "shards"
    assert caplog.messages == []


def test_of_remote_shards_little_is_read_for_a_window(folder, web):
    source = open_source(f"{web.url}/shards")
    web.asked.clear()
    assert len(source.videos[1].window(38, 4)) == 4
    assert sorted({path for path, _ in web.asked}) == [
        f"/shards/{name_of(1, 1)}", f"/shards/{name_of(1, 2)}"
    ]  # fmt: skip
    ranges = [[int(end) for end in wanted[6:].split("-")] for _, wanted in web.asked]
    wanted = sum(last + 1 - first for first, last in ranges)
    assert wanted < (folder / name_of(1, 1)).stat().st_size / 2


def test_remote_shards_that_are_damaged_are_told_too(folder, web, caplog):
    path = folder / name_of(1, 2)
    path.write_bytes(path.read_bytes()[: place_of(folder, path.name, 10)])
    found = [levels(clip) for clip in load(f"{web.url}/shards", ClipSpec(frames=4))]
    # Three windows of the long video have lost frames in them.
    assert all(map(is_without_gap, found)) and len(found) == 22 + 3 + 2
    (told,) = [line for line in caplog.messages if "lost" in line]
    assert told == f"{path.name} of {web.url}/shards is damaged: 10 of its 20 frames are lost"


def test_a_server_that_fails_is_an_error_and_no_damage(folder, web, hasty):
    source = open_source(f"{web.url}/shards")
    web.answers[f"/shards/{name_of(1, 2)}"] = [503] * 99
    with pytest.raises(OSError, match="could not be .*, tried 4 times: HTTP status 503"):
        source.videos[1].window(45, 4)
    web.answers.clear()
    assert len(source.videos[1].window(45, 4)) == 4


def test_a_server_without_ranges_is_read_in_order(folder, web):
    web.ranges = False
    source = open_source(f"{web.url}/shards")
    assert not source.videos[0].indexed
    expected = [levels(clip) for clip in load(folder, CLIP)]
    web.asked.clear()
    assert [levels(clip) for clip in load(source, CLIP, workers=1)] == expected
    # Each shard whole, and once but for the first frame that tells the size.
    assert len(web.asked) < 3 * 7
    assert [levels(clip) for clip in load(source, CLIP, workers=4)] == expected
    with pytest.raises(ValueError, match="`windows_per_epoch` must be None for a file whose"):
        load(source, CLIP, windows_per_epoch=3)


def test_frames_that_are_kept_are_not_asked_for_again(folder, web, tmp_path):
    source, clip = f"{web.url}/shards", ClipSpec(frames=4)
    found = [levels(batch) for batch in load(source, clip, cache=tmp_path / "cache")]
    web.sent = 0
    assert [levels(batch) for batch in load(source, clip, cache=tmp_path / "cache")] == found
    shards = sum(path.stat().st_size for path in folder.glob("*.tfrecord"))
    assert web.sent < shards / 2  # the index, and what it takes to know the files


def test_damage_on_a_server_without_ranges_ends_the_video_and_not_the_epoch(folder, web, caplog):
    web.ranges = False
    path = folder / name_of(1, 2)
    flip(path, place_of(folder, path.name, 10))
    found = [levels(clip) for clip in load(f"{web.url}/shards", ClipSpec(frames=4))]
    assert len(found) == 3 + 50 // 4 + 2 and all(map(is_without_gap, found))
    assert ("long breaks off at a frame that cannot be read: the first 50 of 100 frames given"
            in caplog.messages)  # fmt: skip


def test_a_foreign_file_of_that_name_makes_no_shards(tmp_path, write_video):
    write_video(tmp_path / "films" / "a.avi")
    (tmp_path / "films" / "index.npz").write_bytes(b"of something else")
    assert open_source(tmp_path / "films").kind == "video_files"


def test_times_take_the_memory_of_numbers(folder):
    """Of a day of a camera whose rate varies there are a million."""
    video = open_source(folder).videos[1]
    video._times = np.arange(100) / 10
    assert video.length_at(5.0) == 50
    assert video._moments[5.0].nbytes == 50 * 16
    frames = [time_sec for time_sec, _ in video.timed(5.0)]
    np.testing.assert_allclose(frames, np.arange(50) / 5)
