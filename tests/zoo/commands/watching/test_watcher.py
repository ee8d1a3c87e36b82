"""What arrives is scored together and made into events, whatever happens to a source."""

import dataclasses
import re
import time
import types

import numpy as np
import pytest

from zoo.commands.watching.arrivals import Arrivals, Arrived, Stream
from zoo.commands.watching.watched import Thresholds
from zoo.commands.watching.watcher import Watcher
from zoo.evaluation import drift
from zoo.evaluation.events import EventSettings
from zoo.evaluation.live_scoring import LiveScore
from zoo.evaluation.rolling_calibration import RollingCalibration

SETTINGS = EventSettings(high=1.0, min_seconds=0.15, max_gap_seconds=0.0, window=1)


def of(high):
    return {"events": dataclasses.replace(SETTINGS, high=high).to_dict()}


LIMITS = Thresholds({**of(1.0), "cameras": {"door": of(9.0)}})


class Scorer:
    """Scores a frame by its brightness, from the second frame of a stream on."""

    def __init__(self):
        self.batches, self.forgotten, self._seen = [], [], set()

    def advance(self, frames):
        self.batches.append(sorted(frames))
        found = {}
        for name, frame in frames.items():
            is_warm = name in self._seen
            self._seen.add(name)
            score_map = frame[..., 0].astype(np.float32)
            found[name] = LiveScore(
                float(score_map.max()) if is_warm else None, score_map if is_warm else None, False
            )
        return found

    def forget(self, name):
        self.forgotten.append(name)
        self._seen.discard(name)


@pytest.fixture
def watching():
    """A function of lists of `Arrived` by source that scores them all; what it gives out."""

    def run(sources, limits=LIMITS, **options):
        out = Given()
        arrivals = Arrivals(sources, limit=1000)
        for source, all_of_it in sources.items():
            for arrived in all_of_it:
                arrivals.put(source, arrived, wait=False)
            arrivals.end(source)
        out.scorer = Scorer()
        out.watcher = Watcher(
            out.scorer, arrivals, limits, lambda *shown: out.shown.append(shown),
            lambda scored, event: out.told.append((scored, event)), out.said.append, **options,
        )  # fmt: skip
        out.watcher.run()
        return out

    return run


class Given:
    def __init__(self):
        self.shown, self.told, self.said = [], [], []

    @property
    def alarms(self):
        return [
            (scored.camera, event.state, round(event.time_sec, 3), event.box)
            for scored, event in self.told
        ]


def frames(levels, name="gate", start=0.0, size=(40, 60), known_as=None):
    """`Arrived`s a tenth of a second apart, of such levels in one corner; None is lost."""
    stream, found = Stream(name, known_as or (name,)), []
    for number, level in enumerate(levels):
        time_sec, frame = start + number / 10, None
        if level is not None:
            frame = np.zeros((4, 6, 1), np.uint8)
            frame[:2, :3] = level
        found.append(Arrived(stream, time_sec, 1e9 + time_sec, frame, None, size))
    return found


CORNER = (0, 0, 20, 30)


def test_an_event_is_told_when_it_begins_and_when_it_ends(watching):
    out = watching({"gate": frames([5, 0, 5, 5, 5, 0, 0])})
    # The first 5 comes while the scorer warms up.
    assert out.alarms == [("gate", "begun", 0.4, CORNER), ("gate", "ended", 0.4, CORNER)]
    scored, event = out.told[0]
    assert (scored.number, scored.score, scored.threshold) == (4, 5.0, 1.0)
    assert scored.wall_sec == pytest.approx(1e9 + 0.4) and event.start_sec == pytest.approx(0.2)
    assert [stream for stream, _ in out.shown] == ["gate"] * 8
    assert [scored and scored.score for _, scored in out.shown] == [None, 0, 5, 5, 5, 0, 0, None]
    counts = out.watcher.sources["gate"]
    assert (counts.frames, counts.events) == (7, 1)
    assert counts.fps == pytest.approx(6 / counts.seconds)


def test_what_goes_on_at_the_end_is_told_as_ended(watching):
    out = watching({"gate": frames([0, 0, 5, 5, 5])})
    assert [alarm[1] for alarm in out.alarms] == ["begun", "ended"]
    assert out.alarms[1] == ("gate", "ended", 0.4, CORNER)


def test_frames_of_all_sources_go_in_one_batch_each_under_its_own_settings(watching):
    levels = [0, 0, 5, 5, 5]
    out = watching({"gate": frames(levels), "door": frames(levels, "door"), "hall": []})
    assert out.scorer.batches == [["door", "gate"]] * 5
    assert {alarm[0] for alarm in out.alarms} == {"gate"}
    assert {scored.threshold for name, scored in out.shown if name == "door" and scored} == {9}
    assert "hall" not in out.watcher.sources


@pytest.mark.parametrize(
    ("later", "said"),
    [
        (frames([5, 5, 5], start=0.5, size=(80, 60)), "its frames change from 40x60 to 80x60"),
        (frames([5, 5, 5], start=0.1), "its clock jumps back"),
        (frames([5, 5, 5], start=60.0), None),
        ([*frames([None], start=0.5), *frames([5, 5, 5], start=9.0)], None),
    ],
    ids=["size", "clock", "outage", "lost"],
)
def test_where_nothing_goes_on_a_stream_begins_anew_and_events_end(watching, later, said):
    out = watching({"gate": [*frames([0, 0, 5, 5, 5]), *later]})
    assert [alarm[1] for alarm in out.alarms] == ["begun", "ended"]
    # That of the later frames is too short, as the first of them warms up again.
    assert [scored and scored.score for _, scored in out.shown][-4:] == [None, 5, 5, None]
    assert len(out.scorer.forgotten) == 2 and len(out.said) == (said is not None)
    assert said is None or out.said[0].startswith(f"gate: {said}")


def test_boxes_are_in_the_size_of_the_frames_that_they_are_of(watching):
    longer = [5, 5, 5, 5]
    out = watching({"gate": [*frames(longer), *frames(longer, start=0.4, size=(80, 60))]})
    assert [alarm[3] for alarm in out.alarms] == [CORNER, CORNER, (0, 0, 40, 30), (0, 0, 40, 30)]


def test_the_videos_of_a_source_are_streams_of_their_own(watching):
    videos = [*frames([0, 5, 5, 5], "a"), *frames([0, 5, 5, 5], "b", known_as=("b", "door"))]
    out = watching({"footage": videos})
    assert [alarm[:2] for alarm in out.alarms] == [("a", "begun"), ("a", "ended")]
    assert [name for name, scored in out.shown if scored is None] == ["a", "b"]
    assert [scored.number for name, scored in out.shown if name == "b" and scored] == [0, 1, 2, 3]
    assert out.watcher.sources["footage"].frames == 8


def test_the_threshold_is_that_of_the_hour_of_the_day(watching):
    hours = {
        str(time.localtime(1e9 + 3600 * later).tm_hour): of(1.0 + 3 * later) for later in (0, 2)
    }
    later = [dataclasses.replace(arrived, wall_sec=1e9 + 7200) for arrived in frames([5] * 3)]
    out = watching(
        {"gate": [*frames([0, 5, 5, 5]), *later]}, Thresholds({**of(3.0), "hours": hours})
    )
    assert [scored.threshold for _, scored in out.shown if scored] == [1.0] * 4 + [7.0] * 3
    # Of a file that does not tell it, it is that of all hours.
    untold = dataclasses.replace(later[0].stream, tells_hour=False)
    later = [dataclasses.replace(arrived, stream=untold) for arrived in later]
    out = watching({"gate": later}, Thresholds({**of(3.0), "hours": hours}))
    assert {scored.threshold for _, scored in out.shown if scored} == {3.0}


class Following(Thresholds):
    """Tells of a drift with the third score, and of another threshold with the sixth."""

    def __init__(self):
        super().__init__({**of(1.0), "cameras": {"gate": of(1.0)}}, recalibrate=True)
        self.given, self.begun = {"drift": [], "rolling": []}, []

    def drift(self, names):
        return self._told("drift", {3: types.SimpleNamespace(state="begun")})

    def rolling(self, names):
        return self._told("rolling", {6: dataclasses.replace(SETTINGS, high=4.0)})

    def _told(self, name, answers):
        def update(time_sec, score_map, events):
            self.given[name].append((round(time_sec, 3), score_map.max(), len(events)))
            told = answers.get(len(self.given[name]))
            found.settings = told or found.settings
            return told

        self.begun.append(name)
        found = types.SimpleNamespace(update=update, settings=SETTINGS)
        return found


def test_drift_is_told_and_the_threshold_follows_for_the_frames_to_come(watching):
    limits = Following()
    out = watching({"gate": frames([0, 0, 0, 2, 2, 2, 2, 0])}, limits)
    # Each is given what every frame with a score gave, with what was told of it.
    found = [(0.1, 0, 0), (0.2, 0, 0), (0.3, 2, 0), (0.4, 2, 0), (0.5, 2, 1), (0.6, 2, 1),
             (0.7, 0, 0)]  # fmt: skip
    assert limits.given == {"drift": found, "rolling": found}
    assert out.said[0].startswith("gate: ") and out.watcher.sources["gate"].drifts == 1
    assert out.said[1:] == ["gate: the threshold is 4 from now on"]
    thresholds = [scored.threshold for _, scored in out.shown if scored]
    assert thresholds == [1.0] * 7 + [4.0]


@pytest.mark.parametrize(
    ("names", "begun"),
    [
        ((("gate", "b.avi"), ("gate", "c.avi")), 1),
        # Of another camera, and of one that the calibration knows by the name of the file.
        ((("gate", "b.avi"), ("door", "c.avi")), 2),
        ((("hall", "b.avi"), ("hall", "gate")), 2),
    ],
)
def test_what_is_ordinary_goes_on_from_one_video_of_a_camera_to_the_next(watching, names, begun):
    limits = Following()
    one, other = (frames([0, 0, 0, 2, 2, 2, 2, 0], f"footage/{known[-1]}", known_as=known)
                  for known in names)  # fmt: skip
    out = watching({"footage": [*one, *other]}, limits)
    assert limits.begun == ["drift", "rolling"] * begun
    thresholds = [scored.threshold for name, scored in out.shown if scored]
    assert thresholds == [1.0] * 7 + [4.0] + ([4.0] * 8 if begun == 1 else [1.0] * 8)
    # Scores and events begin anew all the same.
    assert [scored.score for _, scored in out.shown if scored][8] is None


def files(levels, seconds):
    """Files of 40 s of a camera, a level a frame so many seconds apart."""
    each, found = round(40 / seconds), []
    for begin in range(0, len(levels), each):
        name = f"{begin // each}.avi"
        found += [
            dataclasses.replace(arrived, time_sec=number * seconds)
            for number, arrived in enumerate(
                frames(levels[begin : begin + each], name, known_as=("gate", name))
            )
        ]
    return found


@pytest.mark.parametrize(("level", "drifts"), [(20, 0), (80, 1)])
def test_files_shorter_than_a_minute_make_minutes_together_to_tell_drift_by(
    watching, level, drifts
):
    rows = 20 * np.exp(0.1 * np.random.default_rng(0).normal(size=(30, 3)))
    limits = Thresholds(
        {**of(200.0), "false_alarms_per_hour": 1.0, "scores": drift.reference(rows, 200.0)}
    )
    out = watching({"gate": files([level] * 240, 2.0)}, limits)
    assert out.watcher.sources["gate"].drifts == len(out.said) == drifts
    # Five minutes are the fewest, and longer than seven files.
    expected = "7.avi: scores drift up: their median over 5 minutes is "
    assert all(line.startswith(expected) for line in out.said)


class Hasty(Thresholds):
    """Calibrates anew every six minutes, by four at least."""

    def drift(self, names):
        return None

    def rolling(self, names):
        return RollingCalibration(self._calibration, window_hours=0.5, every_hours=0.1)


def test_short_files_move_the_threshold_together_less_what_is_around_each_alarm(watching):
    """Of two files each first event is an alarm, and what lies between the two is none."""
    rng = np.random.default_rng(0)
    levels = np.minimum(10 * rng.random(900) ** (-1 / 3), 55) * (rng.random(900) < 0.4)
    levels = np.maximum(levels, 3)
    levels[[60, 700]] = 200
    events = dataclasses.replace(SETTINGS, high=60.0, min_seconds=0.0).to_dict()
    calibrated = {"events": events, "slope": 3.0, "false_alarms_per_hour": 30.0}
    out = watching({"gate": files(levels.astype(int), 0.45)}, Hasty(calibrated))
    (said,) = out.said
    found = re.fullmatch(r"9.avi: the threshold is (.*) from now on", said).group(1)
    # Of 300 s without alarms 300 frames had an event, and 17.5 were to reach half of the first.
    assert float(found) == pytest.approx(60 * 10 * (300 / 17.5) ** (1 / 3) / 30, rel=0.2)


def test_footage_too_short_to_tell_drift_by_is_said_once_of_each_source(watching):
    limits = Thresholds(
        {**of(1.0), "false_alarms_per_hour": 60.0, "scores": {"refused": "it had 3 minutes"}}
    )
    gate = [*frames([0, 0, 5, 5]), *frames([0, 0], "b.avi")]
    out = watching({"gate": gate, "door": frames([0, 0], "door")}, limits)
    assert sorted(out.said) == [
        f"{name}: drift is not watched: it had 3 minutes" for name in ("door", "gate")
    ]


def test_a_source_is_left_after_so_many_frames(watching):
    out = watching({"gate": frames([0, 5, 5, 5, 0, 0]), "door": frames([0] * 6, "door")},
                   max_frames=4)  # fmt: skip
    assert {name: of.frames for name, of in out.watcher.sources.items()} == {"gate": 4, "door": 4}
    assert [alarm[1] for alarm in out.alarms] == ["begun", "ended"]


def test_what_goes_on_is_told_as_ended_also_where_scoring_breaks(watching, monkeypatch):
    advance = Scorer.advance

    def breaking(self, given):
        if len(self.batches) == 5:
            raise OSError("no memory left")
        return advance(self, given)

    monkeypatch.setattr(Scorer, "advance", breaking)
    out = Given()
    arrivals = Arrivals(["gate"], limit=100)
    for arrived in frames([0, 0, 5, 5, 5, 5]):
        arrivals.put("gate", arrived, wait=False)
    watcher = Watcher(Scorer(), arrivals, LIMITS, lambda *shown: None,
                      lambda scored, event: out.told.append((scored, event)), None)  # fmt: skip
    with pytest.raises(OSError, match="no memory left"):
        watcher.run()
    assert [alarm[1] for alarm in out.alarms] == ["begun", "ended"]
