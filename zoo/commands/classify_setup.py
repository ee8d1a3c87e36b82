"""Wires labelled footage, encoder and head into a classifier, and into its evaluation."""

import concurrent.futures
import contextlib
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from zoo.commands.console import SECONDS_BETWEEN_LINES, say
from zoo.commands.labelled_setup import (
    RANDOM_SEEDS,
    frame_preparer,
    graph_of,
    prepared_frames,
)
from zoo.commands.source_names import told_apart

# Windows that go through an encoder at once: enough to fill two cores.
BATCH = 16
HELD_OUT_PARTS = 4


@contextlib.contextmanager
def open_encoder(encoder):
    """Opens an export, or a preset or run as one that lasts as long as the context.

    Args:
        encoder: Path of an export, name of a preset, or path of a run folder.

    Yields:
        `(export, model)`: an `exports.Export`; and the model of the zoo that it was made of, None
        where an export was given.

    Raises:
        ValueError: If it is none of these; near names are offered.
    """
    import exports
    import zoo
    from zoo import registry

    folder = Path(encoder)
    if folder.is_dir() and not (folder / "config.json").is_file():
        yield exports.load(folder), None
        return
    if not folder.is_dir():
        registry.resolve(str(encoder), "encoder")
    model = zoo.load(str(encoder))
    # Of a run folder its own name: an export tells nothing of the machine that wrote it.
    with exported(model, folder.name if folder.is_dir() else str(encoder)) as export:
        yield export, model


@contextlib.contextmanager
def exported(model, name=None):
    """A model of the zoo as an `exports.Export`, which lasts as long as the context."""
    import exports

    with tempfile.TemporaryDirectory() as place:
        yield exports.load(exports.export(model, place, name=name))


def about(report):
    """What a classifier's manifest says of its training, from the report of it."""
    names = ("head", "mirrored", "window", "window_stride", "clip_fps", "accuracy",
             "calibration_error", "split")  # fmt: skip
    return {name: report[name] for name in names} | {"clips": report["trained_on"]}


def train_classifier(
    export, videos, window=16, stride=8, test_groups=None, with_baselines=True, head="logistic",
    mirrored=False, model=None, fine_tune=0, seed=0,
):  # fmt: skip
    """Fits and measures a classifier.

    Args:
        export: `exports.Export` of the encoder.
        videos: list of `data_pipelines.Video` with `label` and `group`.
        window: int, frames in a window.
        stride: int, frames between windows.
        test_groups: list of str, the groups of the test part. Default: every group in turn; with
            `fine_tune`, a part of the groups.
        with_baselines: bool.
        head: str, one of `exports.heads.TAKES`.
        mirrored: bool, whether the mirror image of each window is learnt from as well: where left
            and right mean the same. What is described beside the encoder is, too.
        model: The model of the zoo that `export` is of, to fine-tune.
        fine_tune: int, steps that the encoder is trained for together with the head. The test
            groups then decide alone, and what is given was not trained on them.
        seed: int, of the order of what the encoder is trained on.

    Returns:
        `(report, fitted)`: a dict of plain values, with `accuracy`, `per_class`, `confusion`,
        `calibration_error`, `temperature`, `baselines` and so on; and the fitted head, on all clips
        or on those outside of `test_groups`. A fine-tuned `model` is changed in place.

    Raises:
        ValueError: If a clip is too short, labels and groups allow no split, or the head is unknown
            or cannot be fine-tuned.

    Example:

    ```python
    report, fitted = train_classifier(exports.load("served/1"), source.videos)
    ```
    """
    from exports import attention_head, heads
    from zoo.evaluation import classification
    from zoo.evaluation.representation import split_groups

    started = time.monotonic()
    fit = fitter_of(heads.fitter(head), mirrored)
    verb = heads.TAKES[head]
    check_fine_tuning(fine_tune, head, model)
    labels, groups = labels_of(videos)
    check_examples(videos)
    if fine_tune and test_groups is None:
        test_groups = some_groups(labels, groups)
    # What cannot be split is said before an hour of footage is read.
    split_groups(labels, groups, test_groups)
    fps = common_rate(videos)
    describers = {"encoder": describer(export, verb)}
    if with_baselines:
        describers |= baseline_describers(export, verb)
    if mirrored:
        describers = in_pairs(describers)
    if fine_tune:
        describers["frames"] = lambda windows: np.stack(windows)
    rows, clips = describe(videos, describers, export.manifest, window, stride, fps)
    labels, groups = labels[clips], groups[clips]

    say("measuring the classifier" + (" and its baselines" if with_baselines else ""))
    classes = sorted(set(labels.tolist()))
    decisions, folds, split = classification.held_out(
        rows["encoder"], labels, groups, clips, fit, test_groups
    )
    kept = np.ones(len(labels), bool) if test_groups is None else ~np.isin(groups, test_groups)
    fitted = fit(rows["encoder"][kept], labels[kept], groups[kept], clips[kept])
    fitted = fitted.head if mirrored else fitted
    before = {}
    if fine_tune:
        tested = folds[0][1]
        before["accuracy_before_fine_tuning"] = classification.measure(
            decisions[tested], labels[tested], clips[tested], classes
        )["accuracy"]
        say(f"fine-tuning the encoder on {kept.sum()} windows")
        taught, known = rows["frames"][kept], labels[kept]
        if mirrored:
            images = taught.copy()
            for number, frames in enumerate(taught):
                images[number] = mirror_image(frames)
            taught, known = np.concatenate([taught, images]), np.concatenate([known, known])
        attention_head.fine_tune(fitted, model, taught, known, fine_tune, seed)
        again = describer_of_model(model, verb)
        grids = [as_rows(again([rows["frames"][number]])) for number in tested]
        decisions[tested] = fitted.log_probabilities(np.concatenate(grids))
    tested = np.flatnonzero(~np.isnan(decisions[:, 0]))
    tempered = classification.tempered_by_others(decisions, labels, classes, folds)

    def measured(found):
        return classification.measure(found[tested], labels[tested], clips[tested], classes)

    report = measured(tempered) | {
        "calibration_error_before": measured(decisions)["calibration_error"],
        "temperature": classification.fit_temperature(decisions[tested], labels[tested], classes),
        "split": split,
        "folds": len(folds),
        **before,
    }
    if with_baselines:
        report["baselines"] = baselines(
            rows, head, fit, labels, groups, clips, test_groups, mirrored
        )
    return report | {
        "head": head,
        "mirrored": mirrored,
        "window": window,
        "window_stride": stride,
        "clip_fps": fps,
        "trained_on": [videos[number].name for number in np.unique(clips[kept]).tolist()],
        "encoder": {"model": export.manifest["model"]["class"], "fine_tuned_steps": fine_tune},
        "seconds": round(time.monotonic() - started, 1),
    }, fitted


def baselines(rows, head, fit, labels, groups, clips, test_groups, mirrored):
    """Accuracies of what a classifier is held against, with all labels."""
    from exports import comparison
    from zoo.evaluation.probes import LinearProbe
    from zoo.evaluation.representation import cross_validate

    def accuracy(found, transform=None, fit=LinearProbe.fit):
        result = cross_validate(found, labels, groups, clips, test_groups, transform, fit)
        return {"accuracy": result["accuracy"]}

    random = [accuracy(rows[f"random_{seed}"], fit=fit)["accuracy"] for seed in RANDOM_SEEDS]
    found = {
        "random_weights": {
            "accuracy": float(np.mean(random)), "accuracies": random, "seeds": list(RANDOM_SEEDS),
        },
        "pixel_pca": accuracy(comparison.same_distances(rows["pixels"]), comparison.pixel_pca),
        "motion_energy": accuracy(rows["motion_energy"]),
    }  # fmt: skip
    if head != "logistic":
        found["linear_probe"] = accuracy(pooled(rows), fit=fitter_of(LinearProbe.fit, mirrored))
    return found


def fitter_of(fit, mirrored):
    """What fits rows as `describe` gives them, pairs with mirror images or not."""
    from exports import heads

    return heads.taught_mirrored(fit) if mirrored else fit


def pooled(rows):
    """The vectors of `encode` in what `describe` gave."""
    return rows.get("pooled", rows["encoder"])


def evaluate_classifier(classifier, source, *, with_baselines=True, seed=0):
    """Measures a served classifier on labelled footage.

    Args:
        classifier: `exports.classifier.Classifier`.
        source: `data_pipelines.Source` whose videos have `label` and `group`.
        with_baselines: Whether to measure the curves of few labels, and their baselines: the head
            of the classifier fitted anew on its encoder, a linear probe on pooled descriptors, the
            head on random weights, principal components of pixels, and motion energy.
        seed: int, of the draws of labelled clips.

    Returns:
        Dict of JSON values: those of `zoo.evaluation.classification.measure`;
        `none_of_these` (share of windows below the limit, of all); `few_labels` (from the way to
        the count to `accuracy`, `standard_error`, `draws`) where groups allow a split;
        `localisation` (from the overlap to `mean` and `per_class`) where the footage has segments
        of videos; and `notes`.

    Raises:
        ValueError: If footage has a class that the classifier does not know, or a clip is too
            short.
    """
    from exports import comparison, heads
    from zoo.evaluation import classification
    from zoo.evaluation.probes import LinearProbe

    started = time.monotonic()
    about, notes = classifier.about, []
    videos = source.videos
    labels, groups = labels_of(videos)
    check_known(videos, about["classes"])
    verb = heads.TAKES[about["head"]]
    describers = {
        "decisions": lambda windows: classifier.log_probabilities(np.stack(windows)),
    }
    mirrored = about.get("mirrored", False)
    if with_baselines:
        described = {"encoder": describer(classifier, verb)}
        described |= baseline_describers(classifier, verb)
        describers |= in_pairs(described) if mirrored else described
    rows, clips = describe(
        videos, describers, classifier.manifest, about["window"], about["window_stride"],
        about["clip_fps"],
    )  # fmt: skip
    labels, groups = labels[clips], groups[clips]
    found = classification.temper(rows["decisions"], about["temperature"])
    report = classification.measure(found, labels, clips, about["classes"])
    report["none_of_these"] = float((np.exp(found.max(axis=1)) < about["limit"]).mean())
    if seen := sorted(set(about["clips"]) & {video.name for video in videos}):
        notes.append(
            f"The classifier was trained on {len(seen)} of the {len(videos)} clips: accuracy, "
            "confusion and calibration are no test. The curves of few labels are: each is of "
            "groups left out."
        )
    if with_baselines:
        fit = fitter_of(heads.fitter(about["head"]), mirrored)
        probe = fitter_of(LinearProbe.fit, mirrored)
        pixels = comparison.same_distances(rows["pixels"])
        ways = {
            "head": ([rows["encoder"]], fit, None),
            "linear_probe": ([pooled(rows)], probe, None),
            "random_weights": ([rows[f"random_{seed}"] for seed in RANDOM_SEEDS], fit, None),
            "pixel_pca": ([pixels], LinearProbe.fit, comparison.pixel_pca),
            "motion_energy": ([rows["motion_energy"]], LinearProbe.fit, None),
        }
        if about["head"] == "logistic":
            del ways["linear_probe"]
        try:
            report["few_labels"] = classification.few_labels(ways, labels, groups, clips, seed=seed)
        except ValueError as error:
            notes.append(f"No curves of few labels: {error}")
    if located := localisation(classifier, source):
        report["localisation"] = located
    return report | {"notes": notes, "seconds": round(time.monotonic() - started, 1)}


def localisation(classifier, source):
    """Finds the segments of the long videos of a source; `None` where it has none."""
    from data_pipelines.sources.labelled_csv import by_video
    from zoo.evaluation.localisation import Found, join_windows, mean_average_precision

    truth, found = [], []
    for whole, segments in by_video(source):
        truth += [
            Found(whole.name, segment.begin_sec, segment.end_sec, segment.label)
            for segment in segments
        ]
        spans, sure = [], []
        for begin, end, _, probabilities in classified(classifier, whole):
            spans.append((begin, end))
            sure.append(probabilities)
        limit = classifier.about["limit"]
        found += join_windows(whole.name, spans, sure, classifier.classes, limit)
    return mean_average_precision(_named(found), _named(truth)) if _named(truth) else None


def _named(segments):
    from exports.classifier import NONE

    return [segment for segment in segments if segment.label != NONE]


def named_videos(sources):
    """All videos of some sources, each under a name that no other has.

    Args:
        sources: List of `data_pipelines.Source`.

    Returns:
        List of `(name, video)`: the name of the video, or, where another has it too, the path to
        it, as of `source_names.told_apart`.
    """
    videos = [(Path(source.path), video) for source in sources for video in source.videos]
    names = told_apart([
        (video.name, str(path if path.name == video.name else path / video.name))
        for path, video in videos
    ])
    return [(name, video) for name, (_, video) in zip(names, videos, strict=True)]


def classify_all(classifier, videos, put):
    """Names the windows along videos: along the recorded ones in turn, along cameras meanwhile.

    Args:
        classifier: `exports.classifier.Classifier`.
        videos: List of `(name, video)`.
        put: Function of `(name, begin_sec, end_sec, label, probabilities)`, called for each window
            as it is named, one call at a time. What it raises ends all, cameras too.

    Returns:
        `(count, failed)`: how many windows there were, and a list of what was wrong with videos
        that could not be read to their end.
    """
    lock, counts, failed = threading.Lock(), [], []

    def along(name, video):
        count = 0
        try:
            for window in classified(classifier, video, 1 if video.live else BATCH):
                with lock:
                    put(name, *window)
                count += 1
        except ValueError as error:
            failed.append(f"{name}: {error}")
            say(failed[-1])
        counts.append(count)

    cameras = [(name, video) for name, video in videos if video.live]
    with concurrent.futures.ThreadPoolExecutor(max(1, len(cameras))) as pool:
        watched = [pool.submit(along, *camera) for camera in cameras]
        try:
            for name, video in videos:
                if not video.live:
                    along(name, video)
            for ended in concurrent.futures.as_completed(watched):
                ended.result()
        except BaseException:
            # An interrupt too: the threads are waited for, and a camera has no end of its own.
            for _, camera in cameras:
                camera.close()
            raise
    return sum(counts), failed


def classified(classifier, video, batch=BATCH):
    """Names the windows along a video, of which it holds no more than `batch` at once.

    Args:
        classifier: `exports.classifier.Classifier`.
        video: `data_pipelines.Video`.
        batch: int, windows that are named at once; 1 where each is to be told when it comes.

    Yields:
        `(begin_sec, end_sec, label, probabilities)` of each window, in order; times from the start
        of the video, in frames where nothing tells its rate.

    Raises:
        ValueError: If the video is too short for the encoder.
    """
    from exports.classifier import numbered_windows, padded

    about, times = classifier.about, []
    frames = timed_frames(classifier, video, times)
    held = []

    def flush():
        if held:
            named = classifier.classify(np.stack([window for _, _, window in held]))
            for (begin, end, _), label, sure in zip(held, *named):
                yield begin, end, label, sure
            held.clear()

    for _, window in numbered_windows(
        frames, about["window"], about["window_stride"], classifier.manifest["min_frames"]
    ):
        # A frame lasts until the next one would come.
        end = times[-1] + _step(times)
        held.append((times[-len(window)], end, padded(window, about["window"])))
        del times[: -about["window"]]
        if len(held) == batch:
            yield from flush()
    yield from flush()


def _step(times):
    return (times[-1] - times[0]) / (len(times) - 1) if len(times) > 1 else 0.0


def timed_frames(classifier, video, times):
    """The frames of a video as a classifier takes them, the time of each appended to `times`."""
    from data_pipelines.clips import given_rate, resample_live

    manifest, fps = classifier.manifest, classifier.about["clip_fps"]
    prepare = frame_preparer(manifest["stride"], manifest["channels"])
    if video.live:
        arrived = ((timed, timed.time_sec) for timed in video.timed_frames())
        began = None
        for timed in resample_live(arrived, fps):
            began = timed.time_sec if began is None else began
            times.append(timed.time_sec - began)
            yield prepare(timed.frame)
        return
    rate = given_rate(video.fps, fps) or 1.0
    for number, (time_sec, frame) in enumerate(video.timed(fps)):
        times.append(number / rate if time_sec is None else time_sec)
        yield prepare(frame)


def labels_of(videos):
    """Arrays of the labels and of the groups of videos."""
    labels = np.array([str(video.label) for video in videos])
    return labels, np.array([str(video.group or video.name) for video in videos])


def check_examples(videos):
    """Refuses a class of one example: it cannot be learnt and held out.

    Raises:
        ValueError: The class and its one clip, with the line of a CSV file, are named.
    """
    by_label = {}
    for video in videos:
        by_label.setdefault(str(video.label), []).append(video)
    lonely = [
        f"{label} ({_place(clips[0])})" for label, clips in by_label.items() if len(clips) == 1
    ]
    if lonely and len(by_label) > 1:
        raise ValueError(
            f"each class must have at least 2 clips. Received one clip for: {', '.join(lonely)}"
        )


def check_known(videos, classes):
    """Refuses footage of classes that a classifier was not trained on.

    Raises:
        ValueError: The classes and the clips, with the lines of a CSV file, are named.
    """
    unknown = {}
    for video in videos:
        if str(video.label) not in classes:
            unknown.setdefault(str(video.label), []).append(_place(video))
    if unknown:
        named = "; ".join(
            f"{label} ({', '.join(places[:5])}{', ...' if places[5:] else ''})"
            for label, places in unknown.items()
        )
        raise ValueError(
            f"`data` must be of the classes {', '.join(classes)}, which the classifier was trained "
            f"on. Received also: {named}"
        )


def _place(video):
    line = getattr(video, "line", None)
    return video.name if line is None else f"line {line}"


def check_fine_tuning(steps, head, model):
    """Raises `ValueError` where the encoder of such a head cannot be fine-tuned."""
    if steps and model is None:
        raise ValueError(
            "`fine_tune` must be 0 with an export, whose weights are frozen; give a preset or the "
            f"run that it was made of. Received: fine_tune={steps}"
        )
    if steps and head != "attention":
        raise ValueError(
            "`fine_tune` must be 0 but with the head attention, through which gradients go. "
            f"Received: head={head}"
        )


def some_groups(labels, groups):
    """The groups of one of four parts, over which the classes are spread evenly."""
    from zoo.evaluation.probes import group_folds
    from zoo.evaluation.representation import split_groups

    split_groups(labels, groups)
    folds = group_folds(labels, groups, HELD_OUT_PARTS)
    return sorted(set(groups[folds[0][1]].tolist())) if folds else None


def common_rate(videos):
    """The lowest frame rate of videos, which the others are brought to; None where one is unknown.

    Frames per second decide how fast an action looks.
    """
    rates = {video.fps for video in videos}
    if None in rates:
        if len(rates) > 1:
            say("the frame rate of some clips is unknown: all frames of every clip are taken")
        return None
    if len(rates) > 1:
        say(f"clips of {', '.join(f'{rate:g}' for rate in sorted(rates))} frames per second: "
            f"all are brought to {min(rates):g}")  # fmt: skip
    return float(min(rates))


def describer(encoder, verb):
    """A function of windows of one length to what `encode` or `features` of an export says."""
    return lambda windows: getattr(encoder, verb)(np.stack(windows))


def describer_of_model(model, verb):
    """As `describer`, of a model of the zoo."""
    graph = graph_of(model, verb)
    return lambda windows: graph(np.stack(windows)).numpy()


def baseline_describers(encoder, verb):
    """What a head over a verb is held against: dict from name to function of windows."""
    from exports import comparison

    found = {
        f"random_{seed}": random_encoder(encoder.manifest, seed, verb) for seed in RANDOM_SEEDS
    }
    if verb != "encode":
        found["pooled"] = describer(encoder, "encode")
    return found | {"motion_energy": comparison.motion_energy, "pixels": comparison.pixel_rows}


# Of no descriptor of a model, and so without mirror images.
_PLAIN = ("pixels", "motion_energy")


def in_pairs(describers):
    """Describers that give each window beside its mirror image, `(windows, 2, ...)`."""

    def pairs(run):
        return lambda windows: np.stack([run(windows), run([*map(mirror_image, windows)])], axis=1)

    return {name: run if name in _PLAIN else pairs(run) for name, run in describers.items()}


def mirror_image(frames):
    """Frames `(time, height, width, channels)` with left and right exchanged."""
    return np.ascontiguousarray(frames[:, :, ::-1])


def describe(videos, describers, manifest, window, stride, fps=None):
    """Runs every window of every video through every describer.

    A clip shorter than a window is brought to its length by its last frame.

    Args:
        videos: list of `data_pipelines.Video`.
        describers: Dict from name to function of a list of windows to an array.
        manifest: dict, of the encoder.
        window, stride: int, frames.
        fps: Frames per second that the videos are brought to, or None.

    Returns:
        `(rows, clips)`: dict from the describer's name to an array (windows, dim), or, of what is
        no vector, an object array of grids; and the number of the video that each window is of.

    Raises:
        ValueError: If a clip is too short for the encoder; it is named.
    """
    from exports.classifier import padded, windows

    parts = {name: [] for name in describers}
    clips = []
    started = said = time.monotonic()
    for number, video in enumerate(videos):
        held = []

        def flush():
            if held:
                for name, run in describers.items():
                    parts[name].append(as_rows(np.asarray(run(held))))
                clips.extend([number] * len(held))
                held.clear()

        try:
            frames = prepared_frames(video, manifest["stride"], manifest["channels"], fps)
            for part in windows(frames, window, stride, manifest["min_frames"]):
                held.append(padded(part, window))
                if len(held) == BATCH:
                    flush()
        except ValueError as error:
            raise ValueError(f"{_place(video)}: {error}") from error
        flush()
        if time.monotonic() - said > SECONDS_BETWEEN_LINES:
            said = time.monotonic()
            left = (said - started) / (number + 1) * (len(videos) - number - 1)
            say(f"{number + 1} of {len(videos)} clips described, {left:.0f} s left")
    rows = {name: np.concatenate(found) for name, found in parts.items()}
    return rows, np.array(clips)


def as_rows(array):
    """Vectors, and pairs of them, as they are; grids and frames, whose sizes may differ, as an
    object array."""
    if array.ndim < 4:
        return array
    rows = np.empty(len(array), object)
    for number, row in enumerate(array):
        # Half precision: rounding of a thousandth is less than what descriptors vary by.
        rows[number] = row if row.dtype == np.uint8 else row.astype(np.float16)
    return rows


def random_encoder(manifest, seed, verb="encode"):
    """A verb on bytes of the model that a manifest names, with fresh weights.

    Raises:
        ValueError: If the model is not in this zoo.
    """
    import keras

    import zoo

    model_class = getattr(zoo, manifest["model"]["class"], None)
    if model_class is None:
        raise ValueError(
            f"the export's model {manifest['model']['class']} is not in this zoo, so that it "
            "cannot be initialised at random; --no-baselines goes without"
        )
    keras.utils.set_random_seed(seed)
    model = model_class.from_config(manifest["model"]["arguments"])
    model.ensure_built()
    return describer_of_model(model, verb)
