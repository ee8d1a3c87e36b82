"""Streams scored side by side give what each gives alone, whoever comes and goes."""

import types

import numpy as np
import pytest

import exports
from zoo.evaluation.live_scoring import LiveScorer

SIZE, OTHER = (32, 48), (48, 32)
FRAMES = 14


def video(seed, frames=FRAMES, size=SIZE):
    """A square over faint noise, which goes another way in each video: uint8 frames."""
    rng = np.random.default_rng(seed)
    clip = rng.integers(80, 100, (frames, *size, 1)).astype(np.uint8)
    down, across = rng.integers(1, 4, 2)
    for time, frame in enumerate(clip):
        top, left = (down * time) % (size[0] - 8), (across * time) % (size[1] - 8)
        frame[top : top + 8, left : left + 8] = 230
    return clip


def whole(model, clip):
    """Scores and maps of a video alone, all of it at once."""
    found = model.score_with_map(clip[None].astype(np.float32) / np.float32(255))
    return found["score"][0].numpy(), found["score_map"][0].numpy()


def close(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


def check_coming_and_going(scorer, model):
    """Three videos, which begin and pause at other times and change places in the batch."""
    clips = {name: video(seed) for seed, name in enumerate("abc")}
    clips["d"] = video(3, size=OTHER)
    begins, pauses = {"a": 0, "b": 3, "c": 5, "d": 4}, {"a": (4, 9), "b": (7, 8)}
    found = {name: [] for name in clips}
    for tick in range(30):
        there = [
            name for name in (sorted(clips) if tick % 3 else sorted(clips, reverse=True))
            if tick >= begins[name] and tick not in pauses.get(name, ())
            and len(found[name]) < FRAMES
        ]  # fmt: skip
        scored = scorer.advance({name: clips[name][len(found[name])] for name in there})
        assert set(scored) == set(there) and not any(one.restarted for one in scored.values())
        for name, one in scored.items():
            found[name].append(one)
    for name, clip in clips.items():
        score, score_map = whole(model, clip)
        first = [one.score for one in found[name][: model.warm_up]]
        assert first == [None] * model.warm_up
        assert all(one.score_map is None for one in found[name][: model.warm_up])
        close([one.score for one in found[name][model.warm_up :]], score[model.warm_up :])
        close(
            np.stack([one.score_map for one in found[name][model.warm_up :]]),
            score_map[model.warm_up :],
        )
    assert [graph.experimental_get_tracing_count() for graph in scorer._graphs.values()] == [1, 1]


@pytest.mark.slow
def test_every_model_scores_streams_as_it_does_videos(preset_name, shaken_model):
    model = shaken_model(preset_name)
    if model.channels != 1:
        pytest.skip("the videos of this test are grey")
    check_coming_and_going(LiveScorer(model), model)


def test_what_does_not_score_is_refused():
    with pytest.raises(ValueError, match="`model` must answer `step` .* answers encode, sample"):
        LiveScorer(types.SimpleNamespace(verbs=("encode", "sample")))


@pytest.fixture(scope="module")
def model(shaken_model):
    return shaken_model("convlstm_vae/ucsd_ped2")


@pytest.mark.slow
def test_an_export_scores_streams_as_the_model_does_videos(model, tmp_path):
    exports.export(model, tmp_path / "gate")
    check_coming_and_going(LiveScorer(exports.load(tmp_path / "gate")), model)


def test_a_frame_of_another_size_begins_the_stream_anew_and_says_so(model):
    scorer, clip, other = LiveScorer(model), video(0), video(1, size=OTHER)
    for frame in clip:
        scorer.advance({"gate": frame})
    found = [scorer.advance({"gate": frame})["gate"] for frame in other]
    assert [one.restarted for one in found] == [True] + [False] * (FRAMES - 1)
    close([one.score for one in found[model.warm_up :]], whole(model, other)[0][model.warm_up :])


def test_a_stream_that_was_forgotten_begins_anew(model):
    scorer, clip = LiveScorer(model), video(0)
    for frame in video(2):
        scorer.advance({"gate": frame, "door": frame})
    scorer.forget("gate")
    found = [scorer.advance({"gate": frame})["gate"] for frame in clip]
    assert not found[0].restarted
    close([one.score for one in found[model.warm_up :]], whole(model, clip)[0][model.warm_up :])


def test_a_size_is_traced_before_its_first_frame(model):
    scorer, clip = LiveScorer(model), video(0)
    scorer.prepare(*SIZE)
    (graph,) = scorer._graphs.values()
    assert graph.experimental_get_tracing_count() == 1
    found = [scorer.advance({"gate": frame})["gate"] for frame in clip]
    assert graph.experimental_get_tracing_count() == 1
    close([one.score for one in found[model.warm_up :]], whole(model, clip)[0][model.warm_up :])


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (np.zeros((*SIZE, 1), np.float32), "must be uint8 .* Received: float32"),
        (np.zeros((*SIZE, 3), np.uint8), r"\(height, width, 1\). Received: uint8 \(32, 48, 3\)"),
        (np.zeros((33, 48, 1), np.uint8), "multiple of 8; .* Received: height=33"),
    ],
)
def test_a_frame_that_does_not_fit_is_named_and_no_stream_moves_on(model, frame, said):
    scorer = LiveScorer(model)
    with pytest.raises(ValueError, match=said):
        scorer.advance({"gate": video(0)[0], "door": frame})
    assert scorer._streams == {}
