"""From a name of the catalogue, or a run folder, to a model.

TensorFlow is loaded with the first model, and not to look names up.
"""

import difflib
import inspect
import logging
import pathlib

from zoo.models.weights_layout import LayoutError
from zoo.presets import DEFAULTS, PRESETS, Preset
from zoo.training.whole_files import read_json

WEIGHTS_FOLDER = pathlib.Path(__file__).parent / "weights"
RUN_CONFIG, RUN_WEIGHTS = "config.json", "model.weights.h5"


def names():
    """Names of all presets, `MODEL/DATASET`, in the order of the catalogue.

    Example:

    >>> "convlstm_vae/ucsd_ped2" in names()
    True
    """
    return list(PRESETS)


def resolve(name, argument="name"):
    """The preset of a name.

    Args:
        name: `MODEL/DATASET`, or `MODEL` for its default.
        argument: What to call it in an error.

    Returns:
        `zoo.presets.Preset`.

    Raises:
        ValueError: If there is none of this name; near names are offered.
    """
    full = DEFAULTS.get(name, name)
    if full in PRESETS:
        return PRESETS[full]
    near = _near(name)
    hint = f"Did you mean {' or '.join(near)}? " if near else ""
    known = ", ".join([*DEFAULTS, *PRESETS])
    raise ValueError(f"`{argument}` must be a preset: {known}. {hint}Received: {argument}={name!r}")


def _near(name):
    return difflib.get_close_matches(str(name), [*DEFAULTS, *PRESETS], n=3, cutoff=0.5)


def weights_path(preset: Preset):
    """Where the trained weights of a preset are, or would be."""
    return WEIGHTS_FOLDER / f"{preset.name.replace('/', '.')}.weights.h5"


def card_path(preset: Preset):
    """Where the model card of a preset is, or would be."""
    return WEIGHTS_FOLDER / f"{preset.name.replace('/', '.')}.card.json"


def info(name):
    """What the catalogue says of a preset.

    Args:
        name: `MODEL/DATASET`, or `MODEL` for its default.

    Returns:
        Dict: `name`, `model` (class), `description`, `paper`, `verbs`, `clip_shape`, `fps`,
        `arguments`, `training`, `trained` (whether there are weights) and `card` (dict or
        `None`).

    Raises:
        ValueError: If there is no such preset.

    Example:

    >>> info("convlstm_vae")["fps"]
    10.0
    """
    preset = resolve(name)
    card = card_path(preset)
    return {
        "name": preset.name,
        "model": preset.model_class.__name__,
        "description": preset.description,
        "paper": preset.paper,
        "verbs": list(preset.model_class.verbs),
        "clip_shape": list(preset.arguments["clip_shape"]),
        "fps": preset.arguments["fps"],
        "arguments": dict(preset.arguments),
        "training": dict(preset.training),
        "trained": weights_path(preset).exists(),
        "card": read_json(card) if card.exists() else None,
    }


def load(name, weights="pretrained", dtype=None, **overrides):
    """A model by its name.

    Args:
        name: `MODEL/DATASET`, `MODEL` for its default, or the path of a run folder of
            `zoo train`, whose own weights are then the pretrained ones.
        weights: `"pretrained"`, `None` for weights drawn at random, or the path of a
            `.weights.h5` file or of a run folder.
        dtype: Keras dtype policy, such as `"mixed_bfloat16"`; `None` is float32.
        **overrides: Arguments of the model's constructor to set otherwise.

    Returns:
        A built `VideoModel`.

    Raises:
        ValueError: If the name is unknown, the preset has no trained weights, an override is no
            argument of the model or of another type, or the weights are of another shape.
        FileNotFoundError: If `weights` is a path where nothing is.

    Example:

    >>> model = load("convlstm_vae", weights=None)
    >>> model.clip_shape
    (16, 128, 192, 1)
    """
    preset, arguments, trained = find(name, is_trained=weights == "pretrained")
    _say_if_unfinished(trained.parent)
    check_overrides(preset, overrides)
    path = trained if weights == "pretrained" else None
    if weights not in ("pretrained", None):
        path = pathlib.Path(weights)
        path = path / RUN_WEIGHTS if path.is_dir() else path
        if not path.is_file():
            raise FileNotFoundError(
                f"`weights` must be 'pretrained', None or a .weights.h5 file. Received: {weights}"
            )
    model = preset.model_class(**{**arguments, **overrides}, dtype=dtype or "float32")
    model.ensure_built()
    if path is not None:
        load_weights(model, path)
    return model


def find(name, argument="name", is_trained=False):
    """What a name stands for, without making the model or loading TensorFlow.

    Args:
        name: `MODEL/DATASET`, `MODEL` for its default, or the path of a run folder.
        argument: What to call it in an error.
        is_trained: Whether its weights must be there.

    Returns:
        `(preset, arguments, weights)`: `zoo.presets.Preset`, the dict of the constructor's
        arguments, and the `pathlib.Path` where trained weights are, or would be.

    Raises:
        ValueError: If there is nothing of this name, or no weights where they must be.

    Example:

    >>> find("convlstm_vae")[2].name
    'convlstm_vae.ucsd_ped2.weights.h5'
    """
    run = pathlib.Path(name)
    if name not in DEFAULTS and name not in PRESETS and (run.is_dir() or run.name != str(name)):
        # A path rather than a name: `MODEL/DATASET` has one slash too, so near names come first.
        if not (run / RUN_CONFIG).is_file() and not _near(name):
            raise ValueError(
                f"`{argument}` must be a preset or a run folder of `zoo train`. Received: {name}, "
                + ("in which there is no config.json" if run.is_dir() else "which is not there")
            )
    if name not in DEFAULTS and name not in PRESETS and (run / RUN_CONFIG).is_file():
        config = read_json(run / RUN_CONFIG)
        preset, weights = resolve(config["preset"], argument), run / RUN_WEIGHTS
        arguments = {**preset.arguments, **config["overrides"]}
    else:
        preset = resolve(name, argument)
        weights, arguments = weights_path(preset), dict(preset.arguments)
    if is_trained and not weights.exists():
        raise ValueError(
            f"`{argument}` must be trained: {name} has no trained weights. Train it (`zoo train`) "
            "and give the run folder, or in Python pass weights=None for random weights, or "
            "the path of your own. Received: weights='pretrained'"
        )
    return preset, arguments, weights


def _say_if_unfinished(run):
    record = run / "run.json"
    record = read_json(record) if record.is_file() else {}
    if record.get("status", "finished") != "finished":
        logging.getLogger(__name__).warning(
            "%s is not finished: status %s, step %s", run, record["status"], record.get("step")
        )


def load_run(path):
    """The model of a run folder of `zoo train`, with the weights that the run ended with."""
    return load(str(path))


def load_weights(model, path):
    """Loads weights, or says that they are of another model.

    Raises:
        ValueError: If the file cannot be read, or its weights are of other shapes, of another model
            or of another layout of it.
    """
    try:
        model.load_weights(path)
    except LayoutError:
        raise  # It says it all.
    except (ValueError, OSError, KeyError) as error:
        raise ValueError(
            f"The weights in {path} do not fit {type(model).__name__} as it is set up: the "
            f"arguments that they were trained with must be given. Keras says: {error}"
        ) from error


def model_arguments(model_class):
    """Names and defaults of the arguments of a model's constructor, `VideoModel`'s included."""
    from zoo.models.base import VideoModel

    found = {}
    for parent in reversed(model_class.__mro__):
        if not issubclass(parent, VideoModel) or "__init__" not in vars(parent):
            continue
        for parameter in inspect.signature(parent.__init__).parameters.values():
            if parameter.kind is parameter.POSITIONAL_OR_KEYWORD and parameter.name != "self":
                found[parameter.name] = parameter.default
    return found


def check_overrides(preset: Preset, overrides):
    """Checks that each override is an argument of the model, of the type of its default.

    Raises:
        ValueError: If one is not.
    """
    arguments = {**model_arguments(preset.model_class), **preset.arguments}
    for name, value in overrides.items():
        if name not in arguments:
            near = difflib.get_close_matches(name, arguments, n=1)
            raise ValueError(
                f"`{name}` is no argument of {preset.model_class.__name__}"
                + (f"; did you mean `{near[0]}`?" if near else ".")
                + f" Its arguments: {', '.join(sorted(arguments))}"
            )
        default = arguments[name]
        kinds = {int: (int,), float: (int, float), str: (str,), tuple: (tuple, list),
                 bool: (bool,)}  # fmt: skip
        allowed = kinds.get(type(default))
        # A bool is an int to Python, and no number to anybody else.
        wrong = allowed and (
            not isinstance(value, allowed) or isinstance(value, bool) and bool not in allowed
        )
        if wrong:
            raise ValueError(
                f"`{name}` must be of type {type(default).__name__}, such as {default!r}. "
                f"Received: {name}={value!r}"
            )


def with_scoring(model, **arguments):
    """The same model and weights under other arguments that hold no weights.

    Such as `score_horizon`, `score_pooling` and `score_window`, which are set when a model is
    made.

    Returns:
        A new model; the one given stays as it is.
    """
    config = {**model.get_config(), **arguments}
    other = type(model).from_config(config)
    other.ensure_built()
    other.set_weights(model.get_weights())
    return other
