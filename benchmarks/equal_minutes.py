"""How many steps each of several trainings makes in the same minutes.

Every training is timed on its own footage and in the precision it will have, all of them in turn,
round after round, so that what else the machine does meets all alike; the fastest round of each
counts. Steps and not minutes are what is then held to: a run that something else slows down, or
that is gone on with another day, still learns as long as it should.
"""

import time

import keras

import zoo
from zoo.commands import training_setup
from zoo.training.precision import choose_precision
from zoo.training.whole_files import read_json, write_json

ROUNDS, STEPS_A_ROUND = 5, 8


def steps_in(minutes, seconds_a_step):
    """Steps that fit into minutes, at least one."""
    return max(1, round(60 * minutes / seconds_a_step))


def seconds_a_step(trainings, say=lambda text: None, steps_a_round=STEPS_A_ROUND):
    """Times the steps of trainings.

    Args:
        trainings: dict from name to a function that trains for as many steps as it is given.
        say: Function of one line of text, told of every round.
        steps_a_round: int.

    Returns:
        Dict from name to seconds.
    """
    fastest = dict.fromkeys(trainings, float("inf"))
    for _ in range(ROUNDS):
        for name, train in trainings.items():
            began = time.monotonic()
            train(steps_a_round)
            fastest[name] = min(fastest[name], (time.monotonic() - began) / steps_a_round)
            say(f"{name}: {fastest[name]:.3f} s a step")
    return fastest


def recorded_seconds(file, names, training, say, steps_a_round=STEPS_A_ROUND):
    """`seconds_a_step` of some trainings; what a file has of them stays, the rest goes into it.

    Args:
        file: Path of a JSON file.
        names: Names of the trainings.
        training: Function from a name to that which trains for some steps.
        say, steps_a_round: As of `seconds_a_step`.
    """
    known = read_json(file) if file.is_file() else {}
    missing = {name: training(name) for name in names if name not in known}
    if missing:
        known |= seconds_a_step(missing, say, steps_a_round)
        write_json(file, known)
    return known


def training_of(setup):
    """Function that trains a `training_setup.Setup` for some steps.

    The first, which traces, are taken already.
    """
    if setup.train is None:
        setup = training_setup.with_footage(setup)
    keras.utils.set_random_seed(setup.seed)
    model = zoo.load(
        setup.preset.name,
        weights=None,
        dtype=choose_precision(setup.precision),
        **setup.overrides,
    )
    model.compile(
        keras.optimizers.Adam(setup.training["learning_rate"]),
        loss=model.default_loss(),
        jit_compile=False,
    )
    stream = training_setup.batches(setup, model, setup.train, endless=True)(0)
    model.fit(stream, steps_per_epoch=2, verbose=0, shuffle=False)
    return lambda steps: model.fit(stream, steps_per_epoch=steps, verbose=0, shuffle=False)
