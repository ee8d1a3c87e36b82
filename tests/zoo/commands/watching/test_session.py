"""Sources, model, events and outputs together: what is scored and told is what it should be."""

import itertools
import json
import logging
import math
import os
import re
import signal
import socket
import threading

import av
import cv2
import numpy as np
import pytest

import data_pipelines
import zoo
from zoo.commands import calibrate_setup
from zoo.commands.watching import outputs as outputs_module
from zoo.commands.watching import session
from zoo.commands.watching.outputs import Pictures
from zoo.commands.watching.scored_frame import ScoredFrame
from zoo.commands.watching.session import Wanted
from zoo.evaluation.calibration import STEP
from zoo.evaluation.events import Event, EventSettings
from zoo.evaluation.scoring import ModelScorer, score_video, to_unit_range

SIZE = (64, 96)


@pytest.fixture
def street(tmp_path):
    """A function that writes a video file of noise in which a square flashes now and then."""

    def write(name, seconds=12, seed=0):
        rng = np.random.default_rng(seed)
        path, height = tmp_path / name, 0
        path.parent.mkdir(exist_ok=True)
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, SIZE[::-1])
        for number in range(10 * seconds):
            image = rng.integers(100, 104, (*SIZE, 1)).astype(np.uint8)
            if number % 30 == 20:
                height = min(120, 10 * rng.random() ** -0.5)
            if number % 30 in range(20, 24):
                image[16:48, 32:64] += np.uint8(height if number % 2 else 0)
            writer.write(np.repeat(image, 3, axis=-1))
        writer.release()
        return path

    return write


def with_gaps(path, gaps):
    """Has a video file of ten frames a second leave out seconds after so many frames."""
    target = path.with_suffix(".mp4")
    with av.open(str(path)) as source, av.open(str(target), "w") as written:
        (stream,) = source.streams.video
        copy = written.add_stream_from_template(stream)
        for number, packet in enumerate(source.demux(stream)):
            if packet.pts is not None:
                late = sum(seconds for after, seconds in gaps.items() if number >= after)
                packet.pts = packet.dts = round((number / 10 + late) / packet.time_base)
                packet.stream = copy
                written.mux(packet)
    path.unlink()


def told(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def begun(alarms):
    return [alarm for alarm in alarms if alarm["state"] == "begun"]


@pytest.mark.slow
@pytest.mark.parametrize("stills", [False, True])
def test_events_are_those_that_the_calibration_counts(run_folder, street, tmp_path, stills):
    model = zoo.load(str(run_folder))
    street("a/one.avi", 45, seed=1)
    # Its frames lie further apart on the whole than the one after the other.
    with_gaps(street("a/two.avi", 30, seed=2), {100: 8, 200: 100})
    scoring = calibrate_setup.of_model(model)
    settings = scoring.settings(0.1, 0.5)
    found = calibrate_setup.calibrate(scoring, tmp_path / "a", settings, 400.0)
    # Events are counted at powers of STEP; at the nearest of them it says how many there were.
    number = round(math.log(found["events"]["high"]) / math.log(STEP))
    found["events"]["high"], found["cameras"] = STEP**number, {}
    assert found["counted"] >= 4
    calibration = tmp_path / "calibration.json"
    calibration.write_text(json.dumps(found))
    wanted = Wanted(tmp_path / "alarms.jsonl", tmp_path / "stills" if stills else None)
    report = session.watch(
        str(run_folder), [str(tmp_path / "a")], wanted, calibration=calibration, max_speed=True
    )
    assert report["sources"]["a"]["events"] == found["counted"]
    assert report["sources"]["a"]["frames"] == 750 and report["sources"]["a"]["dropped"] == 0
    alarms = told(tmp_path / "alarms.jsonl")
    assert len(begun(alarms)) == found["counted"] and len(alarms) == 2 * found["counted"]
    assert len(list(tmp_path.glob("stills/*.jpg"))) == (len(alarms) if stills else 0)


class Shown:
    """Keeps every frame that is drawn."""

    def __init__(self):
        self.frames, self.trouble, self.closed = [], None, False

    def draw(self, scored):
        self.frames.append(scored)
        return scored.image

    def show(self, stream, image):
        pass

    def end(self, stream):
        pass

    def close(self):
        pass


@pytest.fixture
def shown(monkeypatch):
    """What is drawn of all sources, in place of a page."""
    found = Shown()
    monkeypatch.setattr(
        session, "_pictures", lambda wanted, fps: Pictures(lambda: found, None, found)
    )
    return found


@pytest.mark.slow
def test_sources_side_by_side_score_as_each_does_alone(run_folder, street, tmp_path, shown):
    paths = [street(f"{name}.avi", seconds, seed) for seed, (name, seconds) in enumerate(
        [("gate", 9), ("door", 6), ("hall", 3)])]  # fmt: skip
    report = session.watch(
        str(run_folder), [str(path) for path in paths], Wanted(tmp_path / "a.jsonl", page=0),
        threshold=1.0, max_speed=True,
    )  # fmt: skip
    model = zoo.load(str(run_folder))
    clip = data_pipelines.ClipSpec(fps=model.fps, size=tuple(model.clip_shape[1:3]), channels=1)
    for path in paths:
        (video,) = data_pipelines.open_source(path).videos
        frames = np.concatenate(list(data_pipelines.chunks(video, clip)))
        expected = score_video(ModelScorer(model), [frames])["score"]
        maps = ModelScorer(model).advance(to_unit_range(frames))["score_map"]
        found = [one for one in shown.frames if one.camera == path.name]
        assert [one.number for one in found] == list(range(len(frames)))
        np.testing.assert_allclose([one.time_sec for one in found], np.arange(len(frames)) / 10)
        assert {one.image.shape for one in found} == {(*SIZE, 3)}
        warm = model.warm_up
        assert [one.score for one in found[:warm]] == [None] * warm
        scores = [one.score for one in found[warm:]]
        np.testing.assert_allclose(scores, expected[warm:], rtol=0, atol=1e-4 * expected.max())
        np.testing.assert_allclose(
            np.stack([one.score_map for one in found[warm:]]), maps[warm:], rtol=0,
            atol=1e-4 * maps.max(),
        )  # fmt: skip
        assert report["sources"][path.name]["frames"] == len(frames)
    assert report["pictures_dropped"] == 0


@pytest.mark.slow
def test_a_fault_in_drawing_ends_it_and_is_raised(run_folder, street, tmp_path, shown):
    shown.draw = lambda scored: 1 / (40 - scored.number)
    with pytest.raises(ZeroDivisionError):
        session.watch(
            str(run_folder), [str(street("gate.avi", 12))], Wanted(tmp_path / "a.jsonl", page=0),
            threshold=1e-9, max_speed=True,
        )  # fmt: skip
    states = [alarm["state"] for alarm in told(tmp_path / "a.jsonl")]
    assert states.count("begun") == states.count("ended") >= 1


@pytest.fixture
def camera(tmp_path):
    """The address of a camera that sends another size after each event that is told of it."""
    from zoo.commands.watching.page import Page

    page, ended, log = Page(0), threading.Event(), tmp_path / "a.jsonl"

    def film():
        for number in itertools.count():
            events = len(begun(told(log))) if log.exists() else 0
            size = (32, 48) if events % 2 else SIZE
            page.show("gate", np.full((*size, 3), 60 + number % 25, np.uint8))
            if ended.wait(0.04):
                return

    thread = threading.Thread(target=film, daemon=True)
    thread.start()
    yield f"mjpeg+{page.url}camera/0"
    ended.set()
    thread.join(20)
    page.close()


@pytest.mark.slow
def test_a_camera_is_watched_through_changes_of_its_size(run_folder, tmp_path, camera, capsys):
    report = session.watch(
        str(run_folder), [f"gate={camera}"], Wanted(tmp_path / "a.jsonl"), threshold=1e-9,
        max_frames=60,
    )  # fmt: skip
    assert report["sources"]["gate"]["frames"] == 60
    said = capsys.readouterr().err
    assert "gate: frames come\n" in said
    changes = re.findall(r"^gate: its frames change from (\S+) to (\S+);", said, re.MULTILINE)
    assert {*changes} <= {("64x96", "32x48"), ("32x48", "64x96")} and changes, said
    alarms = told(tmp_path / "a.jsonl")
    # Each change of size ends what went on; boxes lie in the frames that they are of.
    assert len(alarms) == 2 * len(begun(alarms)) and begun(alarms)
    assert {tuple(alarm["box"][2:]) for alarm in alarms} <= {(64, 96), (32, 48)}


def nobody_listens():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@pytest.mark.slow
def test_a_camera_that_is_not_there_is_a_state_and_the_rest_go_on(
    run_folder, street, tmp_path, capsys, monkeypatch
):
    path = street("gate.avi", 12)
    wait, seen = session.Outputs.draw, []

    def draw(self, seconds):
        wait(self, seconds)
        seen.append(len(told(tmp_path / "a.jsonl")) if (tmp_path / "a.jsonl").exists() else 0)
        # The file has ended, its event too; the camera never will.
        if seen[-1] == 2 and not os.path.exists(tmp_path / "done"):
            (tmp_path / "done").touch()
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(session.Outputs, "draw", draw)
    settings = EventSettings(high=1e-9, min_seconds=0.0, window=1).to_dict()
    (tmp_path / "c.json").write_text(json.dumps({"events": settings}))
    before = signal.getsignal(signal.SIGINT)
    address = f"door=mjpeg+http://127.0.0.1:{nobody_listens()}/"
    report = session.watch(
        str(run_folder), [address, str(path)], Wanted(tmp_path / "a.jsonl"),
        calibration=tmp_path / "c.json", max_speed=True,
    )  # fmt: skip
    assert signal.getsignal(signal.SIGINT) is before
    assert report["sources"]["gate.avi"]["frames"] == 120
    assert report["sources"]["gate.avi"]["events"] == 1
    assert report["sources"]["door"] == {
        "frames": 0, "dropped": 0, "seconds": 0.0, "frames_per_second": None, "events": 0,
        "drifts": 0, "failure": None,
    }  # fmt: skip
    said = capsys.readouterr().err.splitlines()
    assert said == ["door: not there: [Errno 111] Connection refused"]


def test_a_limit_of_time_ends_it(run_folder, street, tmp_path):
    report = session.watch(
        str(run_folder), [str(street("gate.avi", 12))], Wanted(tmp_path / "a.jsonl"),
        threshold=1.0, max_seconds=0.0,
    )  # fmt: skip
    assert report["sources"]["gate.avi"]["frames"] < 120


def test_the_log_of_cameras_is_as_it_was_afterwards():
    log = logging.getLogger("data_pipelines.sources.camera_session")
    with pytest.raises(OSError), session.cameras_told_here():
        assert not log.isEnabledFor(logging.WARNING)
        raise OSError
    assert log.level == logging.NOTSET


def test_alarms_go_into_a_folder_that_may_be_new(tmp_path):
    found = session.open_outputs(Wanted(tmp_path / "new" / "a.jsonl"), 10.0, False)
    event = Event(1, "begun", 0.0, 0.1, 2.0, 0.1, (0, 0, 8, 8), ())
    found.tell(ScoredFrame("gate", 0, 0.1, 1e9, None, 2.0, None, 1.0, (event,)), event)
    found.close()
    assert [alarm["track"] for alarm in told(tmp_path / "new" / "a.jsonl")] == [1]


def test_outputs_that_are_asked_for_are_opened(tmp_path, monkeypatch):
    assert not Wanted().images and Wanted(stills=tmp_path).images and Wanted(page=0).pictures
    found = session.open_outputs(
        Wanted(tmp_path / "new" / "a.jsonl", webhook="http://127.0.0.1:9/"), 10.0, False
    )
    monkeypatch.setattr(outputs_module, "_DELIVERY_SECONDS", 0.0)
    found.close()
    assert list(tmp_path.glob("new/a.jsonl.spool*"))
