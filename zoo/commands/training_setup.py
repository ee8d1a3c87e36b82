"""Wires footage, preset and settings into a training: what `zoo train` and the quickstart share."""

import dataclasses
import difflib
import json
import logging
import math
import re
from pathlib import Path

import keras
import tensorflow as tf

import data_pipelines
import zoo
from data_pipelines import remote
from zoo import callbacks, registry
from zoo.commands.arguments import check_above_0
from zoo.commands.train import initial_weights
from zoo.layers.sizes import nearest_size
from zoo.training import distribution as distributions
from zoo.training.checkpoint import Checkpoints
from zoo.training.fit import fit
from zoo.training.precision import choose_precision
from zoo.training.run_folder import RunFolder

_LOG = logging.getLogger(__name__)

# What a preset may leave out. Frames count after the footage is brought to the preset's rate.
TRAINING = {
    "frames": 12,  # of one clip
    "stride": 4,  # frames between the starts of two clips
    "crop": (64, 64),  # (height, width) in pixels, or None for whole frames
    "crop_mode": "motion",
    "augment": (),
    "steps": 2000,  # of a model that is fitted in one pass: batches at most
    "batch": 16,
    "learning_rate": 1e-3,
    "warm_up_steps": None,  # of the learning rate; None: a twentieth of all, at most 100
    "clip_norm": 1.0,
    "beta_1": 0.9,  # of Adam
    "discriminator_learning_rate": None,  # None: as that of the generator
    "kl_weight": 1.0,
    "kl_warm_up_steps": 0,
}
CACHE_BYTES = 1 << 30  # footage that is smaller, once resized, is decoded once and kept
SHUFFLE_CLIPS = 512  # buffer of the shuffle where it is not
HELD_OUT_BATCHES = 8
PREVIEW_CLIPS = 4


@dataclasses.dataclass(frozen=True)
class Setup:
    """A training that is decided but not begun.

    Attributes:
        preset: `zoo.registry.Preset`.
        data: `Path` of the footage, or a `data_pipelines.remote.RemotePath`.
        training: dict, the settings of the training, every one of `TRAINING`.
        overrides: dict, constructor arguments of the model that differ from the preset's.
        seed: int.
        init: str of a preset, run folder or weights file, or None.
        precision, distribution: str as asked for, maybe "auto".
        validation_videos: how many were asked to be held out, or None.
        hold_out: tuple of the groups or videos that were asked to be held out by name.
        deterministic: bool, whether each sum is added up in the same order every time.
        train, held_out: `data_pipelines.Source`; `train` is None until the footage is opened,
            `held_out` where nothing is held out.
    """

    preset: object
    data: Path
    training: dict
    overrides: dict
    seed: int
    init: str | None
    precision: str
    distribution: str
    validation_videos: int | None
    hold_out: tuple = ()
    deterministic: bool = False
    train: object = None
    held_out: object = None

    @property
    def arguments(self):
        """What decides the run, as JSON values: a run goes on only where all of it is equal."""
        return {
            "name": self.preset.name,
            "data": str(self.data),
            "init": self.init,
            "seed": self.seed,
            "precision": self.precision,
            "distribution": self.distribution,
            "validation_videos": self.validation_videos,
            # Left out where not asked for: a run begun before there were these goes on.
            **({"hold_out": list(self.hold_out)} if self.hold_out else {}),
            **({"deterministic": True} if self.deterministic else {}),
            **self.training,
            **{f"model.{key}": value for key, value in self.overrides.items()},
        }


def prepare(
    name,
    data,
    *,
    given=None,
    settings=(),
    seed=0,
    init=None,
    precision="auto",
    distribution="auto",
    validation_videos=None,
    hold_out=(),
    deterministic=False,
):
    """Checks what was asked for; the footage is opened later, by `with_footage`.

    Args:
        name: str, a preset.
        data: path or address of footage. Where it has a train split, that is used.
        given: dict of training settings; None values are left to the preset.
        settings: list of "KEY=VALUE", of the training or of the model's constructor.
        seed: int.
        init: preset, run folder or weights file to start from, or None.
        precision, distribution: see `choose_precision`, `choose_strategy`.
        validation_videos: int, how many videos are held out, as `split_videos` chooses them;
            None holds out 15 in 100, and none of fewer than three.
        hold_out: names of groups (people, cameras) or videos that are held out instead.
        deterministic: bool, whether TensorFlow is held to operations that give the same bits
            every time, in this process from the training on.

    Returns:
        `Setup`.

    Raises:
        ValueError: if an argument breaks its rule.
    """
    preset = registry.resolve(name)
    clip_shape = preset.arguments["clip_shape"]
    defaults = {"size": tuple(clip_shape[1:3]), **TRAINING}
    unknown = set(preset.training) - set(defaults)
    if unknown:
        raise ValueError(
            f"`training` of preset {preset.name} must hold settings of {sorted(defaults)}. "
            f"Received: {sorted(unknown)}"
        )
    training = {**defaults, **preset.training}
    known = {**registry.model_arguments(preset.model_class), **preset.arguments, **training}
    overrides = {}
    for text in settings:
        key, value = parse_setting(text, known)
        (training if key in training else overrides)[key] = value
    training.update({key: value for key, value in (given or {}).items() if value is not None})
    if preset.model_class.is_fitted_in_closed_form:
        _check_closed_form(preset, init=init, learning_rate=(given or {}).get("learning_rate"))
    if training["size"] and training["size"] != defaults["size"]:
        # Live scoring brings footage to the model's preferred size: that of its training.
        overrides.setdefault("clip_shape", (clip_shape[0], *training["size"], clip_shape[3]))
    check_settings(preset, training, overrides)
    if "seed" in known:
        overrides.setdefault("seed", seed)
    choose_precision(precision)
    distributions.choose_strategy("one_device" if distribution == "auto" else distribution)
    if init is not None and Path(init).exists():
        init = str(Path(init).resolve())
    data = remote.as_path(data)
    return Setup(
        preset=preset,
        data=data if remote.is_remote(data) else data.resolve(),
        training=training,
        overrides=overrides,
        seed=seed,
        init=init,
        precision=precision,
        distribution=distribution,
        validation_videos=validation_videos,
        hold_out=tuple(hold_out),
        deterministic=deterministic,
    )


def with_footage(setup):
    """Opens the footage of a setup and splits it.

    Args:
        setup: `Setup`.

    Returns:
        `Setup` with `train` and `held_out`.

    Raises:
        ValueError: if the footage cannot be used, or nothing would be left to train on.
    """
    source = data_pipelines.open_source(setup.data)
    train, held_out = split_videos(source, setup.validation_videos, setup.hold_out)
    return dataclasses.replace(setup, train=train, held_out=held_out)


def _check_closed_form(preset, **arguments):
    for name, value in arguments.items():
        if value is not None:
            raise ValueError(
                f"`{name}` must be left out: {preset.name} is fitted in closed form, in one pass "
                f"from nothing. Received: {name}={value}"
            )


def run(setup, out, command_line):
    """Trains, or goes on, or says that the run is finished.

    Args:
        setup: `Setup`; its footage is opened here where it is not yet, and not for a run that is
            finished.
        out: path of the run folder.
        command_line: str, kept in `run.json`.

    Returns:
        `RunFolder`, finished.

    Raises:
        ValueError: if the folder is no run folder of these arguments, or the footage or the
            weights to start from cannot be used.
        Interrupted: after SIGINT or SIGTERM, with the checkpoint written.
    """
    record = RunFolder.recorded(out, setup.arguments)
    if record is not None and record["status"] == "finished":
        _LOG.info("%s is finished: %s", out, Path(out) / registry.RUN_WEIGHTS)
        return RunFolder(Path(out), record)
    if setup.init is not None and not Checkpoints(Path(out) / "checkpoints").steps():
        initial_weights(setup.init)
    if setup.train is None:
        setup = with_footage(setup)
    run = RunFolder.open(
        out,
        command=command_line,
        arguments=setup.arguments,
        seed=setup.seed,
        # A run that is taken up elsewhere stays in the precision it began in.
        precision=choose_precision(setup.precision),
        # What a card says of the footage depends on it.
        data_kind=setup.train.kind,
        train_videos=[video.name for video in setup.train.videos],
        held_out_videos=[video.name for video in setup.held_out.videos] if setup.held_out else [],
    )
    try:
        _train(_as_begun(setup, run.record), run)
        _LOG.info("done: %s", run.path / registry.RUN_WEIGHTS)
    finally:
        run.close()
    return run


def _as_begun(setup, record):
    """The setup with the videos that the run began with, whatever has come to the folder since."""
    videos = {v.name: v for s in (setup.train, setup.held_out) if s for v in s.videos}
    names = [record["train_videos"], record["held_out_videos"]]
    missing = sorted({name for part in names for name in part} - set(videos))
    if missing:
        raise ValueError(
            "`data` must still hold the videos that the run began with. Missing: "
            f"{', '.join(missing[:5])}{' and others' if len(missing) > 5 else ''}"
        )
    train, held_out = ([videos[name] for name in part] for part in names)
    return dataclasses.replace(
        setup,
        train=setup.train.subset(train),
        held_out=setup.train.subset(held_out) if held_out else None,
    )


def split_videos(source, held_out=None, names=()):
    """Splits a source by video: some are held out.

    Videos of one group (a person) stay together. Of footage with classes, or with groups of
    several videos, whole groups are held out, spread evenly over all, until there are as many
    videos as asked for or one group is left to train on; of any other footage the last videos.

    Args:
        source: `data_pipelines.Source`; where it has a train split, only that is used.
        held_out: int; None holds out 15 in 100, rounded, at least one of three or more.
        names: names of groups or videos; where there are any, these are held out and no others.

    Returns:
        (`Source`, `Source` or None).

    Raises:
        ValueError: if nothing would be left to train on, or a name is of no group and no video.
    """
    if "train" in source.splits:
        source = data_pipelines.open_source(source, split="train")
    if names:
        return _split_by_name(source, names)
    count = len(source.videos)
    if held_out is None:
        held_out = max(1, round(0.15 * count)) if count > 2 else 0
    if held_out >= count:
        raise ValueError(
            f"`validation_videos` must leave videos to train on, of {count} there are. "
            f"Received: validation_videos={held_out}"
        )
    if not held_out:
        return source, None
    names = {video.name for video in _held_out(source.videos, held_out)}
    return (
        source.subset([video for video in source.videos if video.name not in names]),
        source.subset([video for video in source.videos if video.name in names]),
    )


def _split_by_name(source, names):
    known = {name for video in source.videos for name in (video.group, video.name)} - {None}
    unknown = sorted(set(names) - known)
    if unknown:
        groups = sorted({str(video.group) for video in source.videos if video.group is not None})
        raise ValueError(
            "`hold_out` must name groups or videos of the footage"
            f"{', whose groups are ' + ', '.join(groups) if groups else ''}. Received: "
            f"hold_out={', '.join(unknown)}"
        )
    held_out = [video for video in source.videos if {video.group, video.name} & set(names)]
    if len(held_out) == len(source.videos):
        raise ValueError(
            f"`hold_out` must leave videos to train on, of {len(held_out)} there are. "
            f"Received: hold_out={', '.join(names)}"
        )
    train = [video for video in source.videos if video not in held_out]
    return source.subset(train), source.subset(held_out)


def _held_out(videos, wanted):
    groups = {}
    for number, video in enumerate(videos):
        groups.setdefault(number if video.group is None else video.group, []).append(video)
    groups = list(groups.values())
    labelled = any(video.label is not None for video in videos)
    # One group alone, as of one folder, can only be split by video.
    if len(groups) == 1 or not (labelled or any(len(group) > 1 for group in groups)):
        return videos[-wanted:]
    for count in range(1, len(groups)):
        # In the middle of equal parts: the last ones would all be of the last class.
        chosen = [(2 * part + 1) * len(groups) // (2 * count) for part in range(count)]
        found = [video for number in chosen for video in groups[number]]
        if len(found) >= wanted:
            break
    return found


def check_settings(preset, training, overrides):
    """Checks the settings of a training before any footage is looked at.

    Args:
        preset: `zoo.registry.Preset`.
        training: dict, every setting of `TRAINING` and `size`.
        overrides: dict, constructor arguments of the model that differ from the preset's.

    Raises:
        ValueError: if one breaks its rule. One that has an option of its own is named as that is,
            any other as "`--set NAME`".
    """
    for name in ("steps", "batch"):
        if training[name] < 1:
            raise ValueError(f"`{name}` must be at least 1. Received: {name}={training[name]}")
    check_above_0(learning_rate=training["learning_rate"])
    try:
        registry.check_overrides(preset, overrides)
        check_sizes(training, preset.model_class.stride)
        # Made and thrown away: each says what is wrong with its arguments.
        clip_spec(training, preset.model_class(**{**preset.arguments, **overrides}))
        for name in training["augment"]:
            if name not in data_pipelines.augmentations.AUGMENTATIONS:
                known = ", ".join(sorted(data_pipelines.augmentations.AUGMENTATIONS))
                raise ValueError(f"`augment` must be of {known}. Received: augment={name}")
    except ValueError as error:
        said = re.sub(r"^`(\w+)`", r"`--set \1`", str(error))
        if not said.startswith("`"):
            said = f"`--set` must hold what the model takes: {said}"
        raise ValueError(said) from error


def check_sizes(training, stride):
    """Checks that what a model of a stride is trained on is a multiple of it, high and wide.

    Raises:
        ValueError: if it is not; the nearest that fits is named.
    """
    for name in ("size", "crop"):
        size = training[name]
        if size and any(pixels < 1 or pixels % stride for pixels in size):
            nearest = tuple(nearest_size(pixels, stride) for pixels in size)
            raise ValueError(
                f"`{name}` must be (height, width), multiples of {stride}; the nearest that fits "
                f"is {nearest}. Received: {name}={size}"
            )


def parse_setting(text, known):
    """Reads "KEY=VALUE"; the value must have the type of the known one.

    Args:
        text: str.
        known: dict of the settings there are and their values.

    Returns:
        (key, value): bool, int, float, str, a tuple of such, or None where None is known.

    Raises:
        ValueError: if the key is unknown (near ones are named) or the value has another type.

    Example:
        >>> parse_setting("filters=8,16", {"filters": (1, 2, 3)})
        ('filters', (8, 16))
    """
    key, equals, word = text.partition("=")
    if not equals:
        raise ValueError(f"`--set` must be KEY=VALUE. Received: --set {text}")
    key = key.strip()
    if key not in known:
        near = difflib.get_close_matches(key, known, n=3) or sorted(known)
        raise ValueError(f"`--set` must name a setting; near: {', '.join(near)}. Received: {key}")
    value = known[key]
    try:
        return key, _read(word.strip(), value)
    except ValueError:
        kind = type(value).__name__
        raise ValueError(
            f"`--set {key}` must be of the type {kind}, as its default {value}. Received: {text}"
        ) from None


def _read(word, default):
    if word.lower() == "none" and not isinstance(default, str):
        return None
    if isinstance(default, (tuple, list)):
        element = default[0] if default else ""
        return tuple(_read(part.strip(), element) for part in word.split(",") if part.strip())
    if isinstance(default, bool):
        if word.lower() not in ("true", "false"):
            raise ValueError(word)
        return word.lower() == "true"
    if isinstance(default, str):
        return word
    if default is None:
        value = json.loads(word if "," not in word else f"[{word}]")
        return tuple(value) if isinstance(value, list) else value
    return type(default)(word)


def _train(setup, run):
    training = setup.training
    if setup.deterministic:
        tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(setup.seed)
    strategy = distributions.choose_strategy(setup.distribution)
    with strategy.scope():
        model = zoo.load(
            setup.preset.name, weights=None, dtype=run.record["precision"], **setup.overrides
        )
        # Of a run that goes on everything comes from its checkpoint.
        if setup.init is not None and not Checkpoints(run.path / "checkpoints").steps():
            registry.load_weights(model, initial_weights(setup.init))
    held_out = preview = None
    if setup.held_out is not None:
        held_out = _held_out_batches(setup, model)
        preview = next(iter(held_out))
    factory = batches(setup, model, setup.train, endless=not model.is_fitted_in_closed_form)
    if preview is None:
        preview = next(iter(factory(0)))
    preview = keras.tree.map_structure(lambda part: part[:PREVIEW_CLIPS], preview)
    _LOG.info(
        "train %s: %d videos to train on, %d held out, %d steps of %d clips, %s, seed %d",
        setup.preset.name,
        len(setup.train.videos),
        len(setup.held_out.videos) if setup.held_out else 0,
        training["steps"],
        training["batch"],
        run.record["precision"],
        setup.seed,
    )
    if setup.held_out is None and not model.is_fitted_in_closed_form:
        _LOG.warning(
            "nothing is held out, so no weights are kept as the best; %s",
            "--validation-videos 1 holds some out"
            if len(setup.train.videos) > 1
            else "that takes more than one video",
        )
    extra = []
    if model.kl_weight is not None:
        extra.append(callbacks.KLWarmUp(training["kl_warm_up_steps"], training["kl_weight"]))
    fit(
        model,
        factory,
        run,
        training["steps"],
        batch=training["batch"],
        learning_rate=training["learning_rate"],
        warm_up_steps=training["warm_up_steps"],
        clip_norm=training["clip_norm"],
        beta_1=training["beta_1"],
        discriminator_learning_rate=training["discriminator_learning_rate"],
        # Not the whole loss: the weight of its other terms may change while the training goes on.
        monitor=model.monitor,
        config=_config(setup, model),
        validation=held_out,
        preview=preview,
        callbacks=extra,
    )


def task_of(model):
    """What a model is trained to do with a clip: a function of `data_pipelines.tasks`."""
    tasks = data_pipelines.tasks
    return {
        "predict_ahead": lambda: tasks.predict_ahead(frames=model.horizons),
        "reconstruct": tasks.reconstruct,
        "generate": tasks.generate,
        "reconstruct_and_predict": lambda: tasks.reconstruct_and_predict(frames=model.horizons),
    }[model.task]()


def batches(setup, model, source, endless):
    """What a training sees of a source.

    Args:
        setup: `Setup`.
        model: the model to be trained.
        source: `data_pipelines.Source`, `setup.train` or `setup.held_out`.
        endless: whether the stream has no end, and is augmented.

    Returns:
        Function from a number of batches to leave out to a `tf.data.Dataset` of batches.
    """
    training = setup.training
    clip = clip_spec(training, model)
    task = task_of(model)
    cache = "memory" if _fits_memory(source, clip) else None

    def factory(skip):
        return data_pipelines.load(
            source,
            clip,
            labels=getattr(model, "labels", ()) or None,
            task=task,
            batch=training["batch"],
            shuffle=SHUFFLE_CLIPS,
            augment=training["augment"] if endless else (),
            seed=setup.seed,
            repeat=endless,
            skip=skip,
            cache=cache,
        )

    return factory


def _held_out_batches(setup, model):
    # Kept in memory: each evaluation sees the same clips, and decodes nothing.
    kept = batches(setup, model, setup.held_out, endless=False)(0).take(HELD_OUT_BATCHES).cache()
    # Keras warns at the end of what does not tell its length, as if a training had broken off.
    return kept.apply(tf.data.experimental.assert_cardinality(sum(1 for _ in kept)))


def clip_spec(training, model):
    """How clips are cut for a model to train on: `data_pipelines.ClipSpec`."""
    return data_pipelines.ClipSpec(
        frames=training["frames"],
        fps=model.fps,
        stride=training["stride"],
        size=training["size"],
        channels=model.channels,
        crop=training["crop"],
        crop_mode=training["crop_mode"],
    )


def _fits_memory(source, clip):
    frames = [video.num_frames for video in source.videos]
    if clip.size is None or None in frames:
        return False
    return sum(frames) * math.prod(clip.size) * clip.channels <= CACHE_BYTES


def _config(setup, model):
    return {
        "preset": setup.preset.name,
        "overrides": setup.overrides,
        "class": type(model).__name__,
        "arguments": {
            key: value
            for key, value in model.get_config().items()
            # The precision is that of the training alone; scoring computes in float32.
            if key not in ("name", "dtype", "trainable")
        },
    }
