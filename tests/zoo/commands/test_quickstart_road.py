"""The whole road, with little footage and hardly any training: everything is left where it says."""

import functools
import json
import re
import resource
import types

import cv2
import numpy as np
import pytest

from data_pipelines import Source, Video
from data_pipelines.sources import synthetic_cctv
from zoo.commands import quickstart_road
from zoo.commands.quickstart_road import Road

PRESET = "convlstm_vae/synthetic_cctv"


@pytest.fixture
def said():
    return []


def road(out, said):
    return Road(out, PRESET, steps=2, seed=0, command="zoo quickstart", say=said.append)


def check_what_both_roads_leave(out, lines):
    assert json.loads((out / "run" / "run.json").read_text())["seed"] == 0
    assert (out / "exported" / "convlstm_vae" / "1" / "saved_model.pb").is_file()
    largest = max(json.loads((out / "verification.json").read_text())["differences"].values())
    assert largest < 1e-3
    assert cv2.imread(str(out / "score.png")).shape[1] > 500
    overlay = cv2.VideoCapture(str(out / "overlay.mp4"))
    assert overlay.get(cv2.CAP_PROP_FRAME_COUNT) > 10
    summary = "\n".join(lines)
    for name in ("run", "score.png", "overlay.mp4", "exported"):
        assert str(out / name) in summary
    assert summary.count("\n  zoo ") == 3


def overlay_arguments(frames=12):
    draw = np.random.default_rng(0)
    pixels = draw.integers(0, 256, (frames, 16, 24, 1), np.uint8)
    return pixels, draw.random((frames, 2, 3), np.float32), draw.random(frames), None, 10.0


def test_the_overlay_has_every_frame(tmp_path):
    quickstart_road._write_overlay(tmp_path / "overlay.mp4", *overlay_arguments())
    video = cv2.VideoCapture(str(tmp_path / "overlay.mp4"))
    assert sum(1 for _ in iter(video.grab, False)) == 12


@pytest.mark.parametrize("room", [0, 2_000, 20_000])
def test_a_disk_that_fills_up_under_the_overlay_is_said(tmp_path, room):
    path = tmp_path / "overlay.mp4"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    # No file may grow beyond it: every write behind that fails, as on a full disk.
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        with pytest.raises(OSError, match=re.escape(str(path))):
            quickstart_road._write_overlay(path, *overlay_arguments(60))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(("fps", "rate"), [(5.0, 5.0), (10.05, 10.05), (25.0, 10.0), (None, 10.0)])
def test_pictures_count_seconds_at_the_rate_of_the_frames(tmp_path, said, monkeypatch, fps, rate):
    video = Video("gate", fps=fps, num_frames=4)
    video.frames = lambda start=0: iter(np.zeros((4, 16, 24, 1), np.uint8))
    model = types.SimpleNamespace(fps=10, clip_shape=(4, 16, 24, 1), channels=1)
    zeros = np.zeros(4)
    scored = types.SimpleNamespace(live=zeros, labels=zeros)
    scored = types.SimpleNamespace(model=[scored], baselines={"copy_last_frame": [scored]})
    monkeypatch.setattr(quickstart_road, "_score_frames", lambda *_: (zeros, zeros, zeros))
    rates = []
    monkeypatch.setattr(
        quickstart_road.pictures, "draw_score", lambda *_, fps, title: rates.append(fps)
    )
    monkeypatch.setattr(quickstart_road, "_write_overlay", lambda *given: rates.append(given[-1]))
    for found in (scored, None):
        road(tmp_path, said)._pictures(model, Source("video_files", "x", [video]), found)
    assert rates == [rate] * 4


@pytest.mark.slow
def test_the_road_with_a_made_up_scene(tmp_path, said, monkeypatch, verified_here):
    small = functools.partial(synthetic_cctv.make, train_videos=3, test_videos=1, frames=120)
    few = functools.partial(synthetic_cctv.make_kinds, clips_per_kind=3, frames=18)
    monkeypatch.setattr(synthetic_cctv, "make", small)
    monkeypatch.setattr(synthetic_cctv, "make_kinds", few)
    lines = road(tmp_path, said).made_up()
    check_what_both_roads_leave(tmp_path, lines)
    figures = json.loads((tmp_path / "evaluation.json").read_text())
    assert figures["frames"] == 120 and set(figures["baselines"]) == {
        "copy_last_frame", "mean_frame",
    }  # fmt: skip
    scores = np.genfromtxt(tmp_path / "scores.csv", delimiter=",", names=True, dtype=None)
    assert len(scores) == 120
    report = json.loads((tmp_path / "classifier.json").read_text())
    assert np.sum(report["confusion"]) == 12
    assert f"{report['accuracy']:.2f}" in "\n".join(lines)
    assert (tmp_path / "classifier" / "1" / "saved_model.pb").is_file()


@pytest.mark.slow
def test_the_road_with_ones_own_footage(tmp_path, said, verified_here):
    scene = synthetic_cctv.make(
        tmp_path / "scene", train_videos=3, test_videos=1, frames=60, size=(64, 112)
    )
    lines = road(tmp_path / "out", said).own(scene / "train")
    check_what_both_roads_leave(tmp_path / "out", lines)
    assert "2 videos to train on, 1 held out" in said
    assert any("no labels" in line for line in said)
    # The shape of the video is kept, in the area of the preset, in multiples of the stride.
    config = json.loads((tmp_path / "out" / "run" / "config.json").read_text())
    assert tuple(config["overrides"]["clip_shape"][1:3]) == (88, 160)
    assert not (tmp_path / "out" / "evaluation.json").exists()
