"""Wiring of an evaluation of detection: masks, tracks and times at the scored frames."""

import dataclasses
import json

import numpy as np
import pytest

import zoo
from data_pipelines import Source, Video
from data_pipelines.sources.cctv_files import TRACK
from zoo.commands import anomaly_setup, detection_setup, tables
from zoo.evaluation.calibration import settings_for
from zoo.evaluation.detection import DetectionMeter
from zoo.evaluation.events import EventSettings
from zoo.evaluation.scoring import block_error

HEIGHT, WIDTH = 32, 48
BOX = (8, 16, 24, 32)


@pytest.fixture(scope="module")
def model():
    small = zoo.registry.resolve("convlstm_vae").small
    shape = {"clip_shape": (16, HEIGHT, WIDTH, 1)}
    return zoo.load("convlstm_vae", weights=None, **{**small, **shape, "score_horizon": 1})


class Flicker(Video):
    """Grey with faint noise; a square flickers in some frames, and the mask says where."""

    def __init__(self, name, frames=24, fps=10.0, first=10, last=19, exact=False, masked=True):
        super().__init__(name, fps=fps, num_frames=frames, split="test")
        draw = np.random.default_rng(len(name))
        self.pixels = draw.integers(100, 104, (frames, HEIGHT, WIDTH, 1)).astype(np.uint8)
        self.truth = np.zeros((frames, HEIGHT, WIDTH), bool)
        top, left, bottom, right = BOX
        for number in range(first, last + 1):
            self.pixels[number, top:bottom, left:right] = 250 if number % 2 else 20
            self.truth[number, top:bottom, left:right] = True
        self.masked, self.exact = masked, exact

    def frames(self, start=0):
        yield from self.pixels[start:]

    def frame_labels(self):
        return self.truth.any(axis=(1, 2))

    def masks(self):
        return iter(self.truth) if self.masked else None

    def tracks(self):
        if not self.exact:
            return None
        top, left, bottom, right = BOX
        box = (top, left, bottom - 1, right - 1)
        rows = [(n, 7, "run", True, box, 256) for n in np.flatnonzero(self.frame_labels())]
        # Somebody normal, and somebody of whom next to nothing is seen.
        rows += [(n, 8, "walk", False, box, 256) for n in range(self.num_frames)]
        rows += [(n, 9, "run", True, (0, 0, 2, 2), 9) for n in range(self.num_frames)]
        return np.array(sorted(rows), TRACK)


def source(*videos):
    return Source("synthetic_cctv", "street", list(videos))


def test_the_baseline_finds_what_flickers_and_all_is_told(model):
    figures = detection_setup.evaluate_model(model, source(Flicker("one"), Flicker("two", last=9)))
    json.dumps(figures, allow_nan=False)
    copy = figures["baselines"]["copy_last_frame"]
    assert copy["pixel_auc"] > 0.8 and copy["rbdc"] > 0.4 and copy["tbdc"] == 1
    assert (copy["event_precision"], copy["event_recall"]) == (1, 1)
    assert (figures["frames"], figures["regions"], figures["tracks"]) == (48, 10, 1)
    first, second = figures["videos"]
    assert (first["regions"], first["reason"]) == (10, None)
    assert second["pixel_auc"] is None
    assert second["reason"] == "no abnormal region is in the masks"
    assert detection_setup.JOINED in figures["notes"]
    assert detection_setup.EXACT not in figures["notes"]
    assert figures["events"]["window"] == model.score_window // 8
    assert "high" not in figures["events"]


def test_what_is_measured_is_what_the_meter_gives_of_the_maps(model):
    # The model takes 10 frames per second: of 20 every second one.
    video = Flicker("fast", frames=48, fps=20.0, first=20, last=39)
    figures = detection_setup.evaluate_model(model, source(video))
    clip = video.pixels[::2].astype(np.float32) / 255
    maps = block_error(clip, np.concatenate([clip[:1], clip[:-1]]))
    meter = DetectionMeter(EventSettings(1.0, window=2), warm_up=1)
    meter.begin((HEIGHT, WIDTH))
    for number, score_map in enumerate(maps):
        mask = video.truth[2 * number]
        meter.update(score_map, mask, {1: BOX} if mask.any() else {}, number / 10)
    meter.end()
    assert figures["baselines"]["copy_last_frame"] == dataclasses.asdict(meter.figures())
    # And of the model its own maps.
    own = DetectionMeter(EventSettings(1.0, window=2), warm_up=model.warm_up)
    own.begin((HEIGHT, WIDTH))
    for number, score_map in enumerate(model.score_map(clip[None])[0].numpy()):
        mask = video.truth[2 * number]
        own.update(score_map, mask, {1: BOX} if mask.any() else {}, number / 10)
    own.end()
    assert figures["rbdc"] == pytest.approx(own.figures().rbdc, abs=0.02)
    assert figures["pixel_auc"] == pytest.approx(own.figures().pixel_auc, abs=1e-3)


def test_exact_tracks_are_taken_where_there_are_any(model):
    figures = detection_setup.evaluate_model(model, source(Flicker("exact", exact=True)))
    assert (figures["regions"], figures["tracks"]) == (10, 1)
    assert detection_setup.EXACT in figures["notes"]
    rows = Flicker("exact", exact=True).tracks()
    assert detection_setup.boxes_in_frame(rows, 12) == {7: BOX, 8: BOX, 9: (0, 0, 3, 3)}


def test_events_by_a_calibration(model, tmp_path):
    path = tmp_path / "calibration.json"
    settings = EventSettings(high=0.05, min_seconds=0.0)
    path.write_text(json.dumps({"events": settings.to_dict()}))
    read = settings_for(detection_setup.read_calibration(path))
    assert read == settings
    figures = detection_setup.evaluate_model(model, source(Flicker("one")), read)
    copy = figures["baselines"]["copy_last_frame"]
    assert (copy["event_threshold"], copy["event_precision"], copy["event_recall"]) == (0.05, 1, 1)
    assert figures["events"] == settings.to_dict()
    path.write_text(json.dumps({"events": {**settings.to_dict(), "low_share": 2}}))
    with pytest.raises(ValueError, match="`calibration` must hold .*`low_share` must be above 0"):
        detection_setup.read_calibration(path)
    path.write_text("{}")
    with pytest.raises(ValueError, match="`calibration` must hold the settings of `events`"):
        detection_setup.read_calibration(path)


def test_masks_that_are_missing_or_do_not_fit(model, tmp_path, monkeypatch):
    # Of a video that is known to be normal no mask is needed.
    normal = Flicker("normal", last=9, masked=False)
    monkeypatch.setattr(
        anomaly_setup.data_pipelines, "open_source",
        lambda path, split=None: source(*videos),
    )  # fmt: skip
    videos = [normal, Flicker("one")]
    assert detection_setup.open_masked("street").videos == videos
    videos = [normal, Flicker("bare", masked=False)]
    with pytest.raises(ValueError, match="a mask for every frame: the layout of UCSD .* 1 of 2 "
                       "videos have none, bare among them"):  # fmt: skip
        detection_setup.open_masked("street")
    small = Flicker("small")
    small.truth = small.truth[:, :16]
    with pytest.raises(ValueError, match="masks of small must be as large as its frames. "
                       "Received: a mask of 16x48 for frames of 32x48"):  # fmt: skip
        detection_setup.evaluate_model(model, source(small))
    short = Flicker("short")
    short.truth = short.truth[:20]
    with pytest.raises(ValueError, match="the truth of short must cover all of its frames"):
        detection_setup.evaluate_model(model, source(short))


def test_the_table(model):
    figures = detection_setup.evaluate_model(model, source(Flicker("one"), Flicker("two", last=9)))
    lines = tables.detection({"model": "mine", **figures})
    assert lines[0].split() == [
        "frames", "regions", "tracks", "pixel", "auc", "rbdc", "tbdc",
        "event", "precision", "event", "recall",
    ]  # fmt: skip
    assert [line.split("  ")[0] for line in lines[1:4]] == ["mine", "copy last frame", "mean frame"]
    assert lines[4] == "" and lines[6].split() == ["two", "24", "0", "0", *"-----"]
