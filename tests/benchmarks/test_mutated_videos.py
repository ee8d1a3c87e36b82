"""Damaged files of every kind: the doctor and `load` account for each, and whole ones are healthy.

Forty of those that `benchmarks/mutated_videos.py` makes in hundreds.
"""

import numpy as np
import pytest

SEED, NUMBERS = 0, range(40)


@pytest.fixture(scope="module")
def bench(script):
    return script("mutated_videos")


@pytest.fixture(scope="module")
def footage(bench, tmp_path_factory):
    """`(files, ended)`: forty `Mutated` that were examined and loaded, and what ended `load`."""
    folder = tmp_path_factory.mktemp("mutated")
    mutations = bench.mutations
    with bench.stand_in():
        paths = mutations.write_videos(folder / "whole", frames=30, size=(48, 64))
        files = bench.write_all(folder / "files", dict.fromkeys(paths, 30), NUMBERS, SEED)
        bench.examine(folder / "files", files)
        ended = bench.load(folder / "files", files)
    bench.ask_peer(files)
    return files, ended


def test_each_of_forty_is_accounted_for_in_its_time(bench, footage):
    files, ended = footage
    assert ended is None
    assert bench.failed_bars(files) == []
    assert {file.kind for file in files} == set(bench.mutations.MAKERS)
    assert len({file.path.name for file in files if file.report is not None}) == len(files) == 40


def test_whole_files_are_healthy_and_loaded_whole(footage):
    files, _ = footage
    whole = [file for file in files if file.kind == "untouched"]
    assert len(whole) == 6
    for file in whole:
        told = [finding for finding in file.report.findings if finding.kind != "near-duplicate"]
        assert (told, file.report.log, file.warnings) == ([], [], [])
        assert (file.report.frames, file.given) == (30, 7)


def test_what_is_wrong_is_said(footage):
    files, _ = footage
    by_kind = {file.kind: file for file in files}
    assert by_kind["empty"].report.findings[0].text == "it is empty, not a video"
    assert by_kind["renamed"].outcome == "unreadable"
    assert any("crashed (SIGABRT)" in text for text in by_kind["aborts"].warnings)
    # Of damage most is seen; a flipped byte of a picture may be another picture.
    hurt = [file for file in files if file.kind in ("cut off", "bytes flipped", "blocks zeroed")]
    assert len(hurt) == 24 and sum(file.outcome != "healthy" for file in hurt) >= 20


def test_the_same_number_and_seed_are_the_same_file(bench, tmp_path):
    whole = tmp_path / "a.avi"
    whole.write_bytes(np.random.default_rng(0).bytes(20_000))
    made = {}
    for folder, seed in (("one", 0), ("again", 0), ("other", 1)):
        (tmp_path / folder).mkdir()
        made[folder] = [
            bench.mutations.write_mutated(tmp_path / folder, [whole], number, seed)
            for number in NUMBERS
        ]
    content = {
        folder: [path.read_bytes() for _, path, _ in found] for folder, found in made.items()
    }
    assert content["one"] == content["again"] != content["other"]
    differs = {kind for (kind, _, _), now in zip(made["one"], content["one"], strict=True)
               if now != whole.read_bytes()}  # fmt: skip
    assert differs == set(bench.mutations.MAKERS) - {"untouched"}


def mutated(bench, kind="bytes flipped", frames=30, findings=(), log=(), **about):
    """A `Mutated` as if the doctor had said this of it."""
    from data_pipelines.doctor_findings import Finding
    from data_pipelines.doctor_report import FileReport

    report = FileReport("x", "video", frames=frames, declared_frames=frames, log=list(log))
    report.findings = [Finding(name, "unsound", text) for name, text in findings]
    values = {"report": report, "given": frames // 4, **about}
    return bench.Mutated(kind, about.pop("path", bench.pathlib.Path("x.avi")), 30, **values)


@pytest.mark.parametrize(
    ("about", "failure"),
    [
        ({"report": None}, "are not in the report once"),
        ({"seconds": 1e3}, "took the doctor too long"),
        ({"kind": "untouched", "log": ["[h264] bad"]}, "left as they are and are not healthy"),
        ({"kind": "untouched", "findings": [("frozen", "")]}, "are not healthy"),
        ({"kind": "renamed"}, "are called healthy and cannot be"),
        ({"kind": "aborts", "findings": [("lost", "")]}, "abort the decoder, which is not said"),
        ({"peer": "[h264] bad"}, "healthy though FFmpeg complains"),
        ({"frames": 28}, "lost frames in silence"),
        ({"given": None, "findings": [("lost", "")]}, "gave no clip, which is not said"),
        ({"given": 0, "findings": [("lost", "")]}, "gave no clip, which is not said"),
        ({"given": 6}, "are healthy and gave no clips, or not all"),
        ({"load_seconds": 1e3}, "kept `load` waiting"),
    ],
)
def test_a_bar_that_is_not_reached_is_told(bench, about, failure):
    assert bench.failed_bars([mutated(bench)]) == []
    failures = bench.failed_bars([mutated(bench, **about)])
    assert any(failure in text and "FAILED: 1 files" in text for text in failures)
