"""The stations of the quickstart; the command module says what it is for."""

import dataclasses
import itertools
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import data_pipelines
import exports
from data_pipelines.clips import given_rate
from data_pipelines.sources import synthetic_cctv, video_files
from exports import classifier
from zoo import registry
from zoo.commands import (
    anomaly_setup,
    classify_setup,
    export,
    labelled_setup,
    training_setup,
)
from zoo.evaluation import pictures
from zoo.evaluation.scoring import ModelScorer, to_unit_range
from zoo.layers.sizes import nearest_size
from zoo.training.whole_files import write_json

FOOTAGE_FRAMES = 20_000  # of one's own that are trained on: more would not be seen in two minutes
SCORED_FRAMES = 3_000  # of one's own that are scored for the picture
OVERLAY_FRAMES = 300
OVERLAY_SCALE = 4


@dataclasses.dataclass
class Road:
    """One walk along the road.

    Attributes:
        out: Folder for everything.
        preset: Name of the preset to train.
        steps: Training steps, or None for the preset's.
        seed: Of the scene and the training.
        command: str, kept in the run folder.
        say: Function of a line of progress.
    """

    out: Path
    preset: str
    steps: int | None
    seed: int
    command: str
    say: Callable

    def __post_init__(self):
        self.began = time.monotonic()

    def made_up(self):
        """Goes the road with a made-up scene; returns the lines of the summary."""
        self._station("make the footage of a camera, and clips of kinds of movement")
        footage = synthetic_cctv.make(self.out / "footage", seed=self.seed)
        kinds = synthetic_cctv.make_kinds(self.out / "kinds", seed=self.seed)
        model = self._train(footage)
        self._station("score the test videos beside the baselines")
        source = anomaly_setup.open_labelled(footage)
        scored = anomaly_setup.score_source(model, source)
        figures = anomaly_setup.result(scored, model, source, self.preset)
        write_json(self.out / "evaluation.json", figures)
        anomaly_setup.write_scores(self.out / "scores.csv", scored)
        self._pictures(model, source, scored)
        folder = self._export(model, source)
        self._station("train a classifier of the kinds of movement on the export")
        encoder, videos = exports.load(folder), labelled_setup.open_labelled(kinds).videos
        report, head = classify_setup.train_classifier(encoder, videos)
        classifier.save(
            self.out / "classifier", encoder, head, temperature=report["temperature"], limit=0.5,
            about=classify_setup.about(report),
        )  # fmt: skip
        write_json(self.out / "classifier.json", report)
        copy = figures["baselines"]["copy_last_frame"]["auc_live"]
        others = ", ".join(
            f"{name.replace('_', ' ')} {baseline['accuracy']:.2f}"
            for name, baseline in report["baselines"].items()
        )
        return self._summary(
            folder,
            [
                f"anomalies: frame AUC {figures['auc_live']:.3f} live "
                f"(copy of the last frame {copy:.3f}); {self.out / 'evaluation.json'}",
                f"kinds of movement: accuracy {report['accuracy']:.2f} on clips left out "
                f"({others}); {self.out / 'classifier.json'}",
            ],
        )

    def own(self, data):
        """Goes the road with one's own footage; returns the lines of the summary."""
        source = data_pipelines.open_source(data)
        videos = list(_enough(source.videos, FOOTAGE_FRAMES))
        if len(videos) < len(source.videos):
            self.say(f"{len(videos)} of {len(source.videos)} videos are used: a first look")
        source = source.subset(videos)
        if len(videos) > 1:
            train, held_out = training_setup.split_videos(source, max(1, round(0.2 * len(videos))))
            self.say(f"{len(train.videos)} videos to train on, {len(held_out.videos)} held out")
        else:
            held_out = source
            self.say("one video alone cannot be split by file: it is trained on and scored")
        self.say("no labels, so no area under a curve and no classifier")
        settings = [f"size={','.join(map(str, self._size(source)))}"]
        model = self._train(data, source, settings, len(held_out.videos) if len(videos) > 1 else 0)
        self._station("score the held-out videos")
        self._pictures(model, held_out)
        folder = self._export(model, held_out)
        findings = ["no labels: no area under a curve, no classifier"]
        return self._summary(folder, findings, data)

    def _station(self, what):
        self.say(f"[{time.monotonic() - self.began:4.0f} s] {what}")

    def _train(self, data, source=None, settings=(), held_out=None):
        self._station("train on what is normal there")
        setup = training_setup.prepare(
            self.preset,
            data,
            given={"steps": self.steps},
            settings=settings,
            seed=self.seed,
            validation_videos=held_out,
        )
        if source is not None:
            train, rest = training_setup.split_videos(source, held_out)
            setup = dataclasses.replace(setup, train=train, held_out=rest)
        training_setup.run(setup, self.out / "run", self.command)
        return registry.load_run(self.out / "run")

    def _size(self, source):
        """The size that fits the model's stride, of the preset's area and the video's shape."""
        height, width = next(iter(source.videos[0].frames())).shape[:2]
        preset = registry.resolve(self.preset)
        area = np.prod(preset.arguments["clip_shape"][1:3])
        stride = preset.model_class.stride
        crop = preset.training["crop"]
        scale = np.sqrt(area / (height * width))
        return tuple(
            max(int(least), nearest_size(round(side * scale), stride))
            for side, least in zip((height, width), crop, strict=True)
        )

    def _pictures(self, model, source, scored=None):
        clip = data_pipelines.ClipSpec(
            fps=model.fps, size=tuple(model.clip_shape[1:3]), channels=model.channels
        )
        video = source.videos[0]
        rate = given_rate(video.fps, model.fps)
        if scored is not None:
            pictures.draw_score(
                self.out / "score.png",
                np.concatenate([video.live for video in scored.model]),
                np.concatenate([video.labels for video in scored.model]),
                np.concatenate([video.live for video in scored.baselines["copy_last_frame"]]),
                fps=rate,
                title="Anomaly score of all test videos, one after another",
            )
        self._station("draw the score over the frames")
        frames, maps, score = _score_frames(model, data_pipelines.chunks(video, clip))
        labels = None if scored is None else np.asarray(scored.model[0].labels, bool)
        if scored is None:
            pictures.draw_score(
                self.out / "score.png", score, fps=rate, title=f"Anomaly score: {video.name}"
            )
        _write_overlay(
            self.out / "overlay.mp4",
            frames[:OVERLAY_FRAMES],
            maps[:OVERLAY_FRAMES],
            score[:OVERLAY_FRAMES],
            None if labels is None else labels[:OVERLAY_FRAMES],
            rate,
        )

    def _export(self, model, source):
        self._station("export, and read the export back in a process without this project")
        clip = data_pipelines.ClipSpec(
            fps=model.fps, size=tuple(model.clip_shape[1:3]), channels=model.channels
        )
        frames = next(iter(data_pipelines.chunks(source.videos[0], clip, 16)))
        folder, report = export.export_verified(
            model, self.out / "exported" / "convlstm_vae", clip=frames[None], name=self.preset
        )
        write_json(self.out / "verification.json", report)
        return folder

    def _summary(self, folder, findings, data="FOLDER"):
        out = self.out
        return [
            "",
            *findings,
            f"score over time: {out / 'score.png'}",
            f"where it comes from: {out / 'overlay.mp4'}",
            f"run folder: {out / 'run'}",
            f"export: {folder}",
            f"{time.monotonic() - self.began:.0f} seconds",
            "",
            "Next, with footage of your own:",
            f"  zoo quickstart --data {data} --out {out.parent / 'first_look'}",
            f"  zoo train convlstm_vae --data {data} --out {out.parent / 'mine'} "
            "--init convlstm_vae",
            f"  zoo export {out.parent / 'mine'} {out.parent / 'exported' / 'mine'}",
        ]


def _enough(videos, frames):
    """The first videos that together have about so many frames, one at least."""
    total = 0
    for video in videos:
        if total >= frames:
            return
        total += video.num_frames or 0
        yield video


def _score_frames(model, chunks):
    """Frames uint8, score maps and live scores of the start of a video."""
    from zoo.evaluation.anomaly import live

    scorer = ModelScorer(model)
    parts, count = [], 0
    for chunk in itertools.takewhile(lambda _: count < SCORED_FRAMES, chunks):
        count += len(chunk)
        out = scorer.advance(to_unit_range(chunk))
        # Only as many frames are kept as will be drawn; scores are two numbers a frame.
        keep = chunk if count < OVERLAY_FRAMES + len(chunk) else chunk[:0]
        parts.append((keep, out["score_map"][: len(keep)], out["score"]))
    frames, maps, score = (np.concatenate(part) for part in zip(*parts, strict=True))
    return frames, maps, live(score, min(scorer.warm_up, max(len(score) - 1, 0)))


def _write_overlay(path, frames, maps, score, labels, fps):
    """Writes frames with the score map as heat, the score as a bar and the truth as a frame."""
    import cv2

    largest = max(float(np.quantile(maps, 0.999)), 1e-6)
    heated = pictures.overlay(frames, maps, largest)
    height, width = (side * OVERLAY_SCALE for side in heated.shape[1:3])
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), fps, (width, height + 24))
    if not writer.isOpened():
        raise OSError(f"OpenCV cannot write {path} with the codec mp4v")
    try:
        for index, frame in enumerate(heated):
            picture = cv2.resize(frame, (width, height), interpolation=cv2.INTER_NEAREST)
            bar = np.zeros((24, width, 3), np.uint8)
            length = int(width * min(1.0, score[index] / max(score.max(), 1e-12)))
            bar[6:18, :length] = (31, 119, 180)
            if labels is not None and labels[index]:
                bar[:4] = bar[20:] = (214, 39, 40)
            writer.write(np.concatenate([picture, bar])[..., ::-1].copy())
    finally:
        writer.release()
    video_files.check_written(path, len(heated))
