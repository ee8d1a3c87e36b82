"""`zoo evaluate`: figures of a model beside its baselines.

    zoo evaluate anomaly convlstm_vae --data footage/ucsd_ped2 --json

prints frame AUC and equal error rate under two protocols; the 2,010 test frames of UCSD Ped2 take
about a minute on two cores.

    zoo evaluate detection convlstm_vae --data footage/ucsd_ped2

prints how well it is found where in the frame and when something abnormal happens.

    zoo evaluate prediction convlstm_vae --data footage/ucsd_ped2 --steps 8

prints how far predicted frames are from those that came.

    zoo evaluate tracking convlstm_vae --data street/

prints how far a box given once is carried through made-up footage by the descriptors of the model.

    zoo evaluate representation convlstm_vae --data footage/weizmann

prints how well actions are told apart by few labels and by all; the 83 clips of Weizmann take about
three minutes on two cores.
"""

from pathlib import Path
from typing import Annotated

import typer

from zoo.commands import tables
from zoo.commands.arguments import check_model, check_out, check_there
from zoo.commands.console import command_line, emit_json, load_tensorflow, log, progress, say
from zoo.training.precision import check_precision, choose_precision

Name = Annotated[str, typer.Argument(help="Preset, or run folder of `zoo train`.")]
Split = Annotated[
    str | None, typer.Option(help="train or test; by default test where there is one.")
]
Card = Annotated[Path | None, typer.Option(help="Model card to add the figures to.")]
RunOfCard = Annotated[
    Path | None, typer.Option(help="Run folder of the weights, for a new card of a preset.")
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]


def anomaly(
    name: Name,
    data: Annotated[Path, typer.Option(help="Footage with truth for every frame.")],
    split: Split = None,
    precision: Annotated[
        str, typer.Option(help="float32, mixed_bfloat16, mixed_float16 or auto.")
    ] = "float32",
    scores: Annotated[
        Path | None, typer.Option(help="CSV file to write every frame's score to.")
    ] = None,
    card: Annotated[Path | None, typer.Option(help="Model card to write.")] = None,
    run: Annotated[
        Path | None, typer.Option(help="Run folder of the weights, for the card of a preset.")
    ] = None,
    as_json: Json = False,
):
    """Measure how well a model finds abnormal frames.

    Frame AUC and equal error rate under two protocols. `live` is causal: the model's score, a
    median over the last 9 frames. `literature` is that of papers: the mean squared error of the
    frame, smoothed over time and rescaled by each test video's own minimum and maximum;
    `regularity` is their older score, without smoothing. The same is given for a copy of the last
    frame and for the mean of the frames so far.
    """
    check_precision(precision)
    _begin(name, data, card, run, scores=scores)
    import zoo
    from zoo.commands import anomaly_setup

    source = anomaly_setup.open_labelled(data, split)
    model = zoo.load(name, dtype=choose_precision(precision))
    scored = anomaly_setup.score_source(
        model, source, lambda number, count, video: say(f"{number}/{count} {video}")
    )
    figures = anomaly_setup.result(scored, model, source, name)
    if scores is not None:
        anomaly_setup.write_scores(scores, scored)
        say(f"scores: {scores}")
    _finish(figures, tables.anomaly, as_json, card, name, model, source, run, None)


def detection(
    name: Name,
    data: Annotated[Path, typer.Option(help="Footage with a mask for every frame.")],
    split: Split = None,
    calibration: Annotated[
        Path | None,
        typer.Option(help="JSON file whose `events` say what an event is, and its thresholds."),
    ] = None,
    card: Card = None,
    run: RunOfCard = None,
    as_json: Json = False,
):
    """Measure how well a model finds what is abnormal: where in the frame, and when.

    Given are the area under the ROC curve over all pixels, the region- and the track-based
    detection criterion of Ramachandra and Jones 2020 (detection rates against false positive
    regions per frame, area from 0 to 1), and precision and recall of events, which without a
    calibration are those at the threshold with the best F1. The same is given for a copy of the
    last frame and for the mean of the frames so far.
    """
    check_there(calibration, "calibration")
    _begin(name, data, card, run)
    import zoo
    from zoo.commands import detection_setup
    from zoo.evaluation.calibration import check_weights, settings_for
    from zoo.models.weights_digest import weights_digest

    source = detection_setup.open_masked(data, split)
    known = detection_setup.read_calibration(calibration) if calibration else None
    model = zoo.load(name)
    settings = None
    if known is not None:
        check_weights(known, weights_digest(model), name, calibration)
        settings = settings_for(known)
    figures = detection_setup.evaluate_model(model, source, settings, report=progress())
    figures = {"model": str(name), **figures}
    _finish(figures, tables.detection, as_json, card, name, model, source, run, "detection")


def prediction(
    name: Name,
    data: Annotated[Path, typer.Option(help="Footage; no truth is needed.")],
    steps: Annotated[
        int | None, typer.Option(min=1, help="Frames to predict; by default half a clip.")
    ] = None,
    context: Annotated[
        int | None, typer.Option(min=1, help="Frames shown; by default the rest of the clip.")
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option(min=0, help="Futures drawn of each window; by default 4 if the model draws."),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(help="train, test or held_out; by default what was not trained on."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Most windows, shared evenly among the videos.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Of the draws.")] = 0,
    card: Card = None,
    run: RunOfCard = None,
    as_json: Json = False,
):
    """Measure how well a model predicts the frames to come.

    Windows of the footage are cut into context and truth. Given are mean squared and mean absolute
    error (of a pixel value, and summed over a frame), PSNR (of each frame, then averaged), SSIM
    and the sharpness of Mathieu et al., for each step ahead and over all, beside a copy of the
    last frame, the mean of the context and an empty frame. By default the clip that the model was
    trained on is halved into context and truth.
    """
    _begin(name, data, card, run)
    import zoo
    from zoo.commands import prediction_setup

    source, split = prediction_setup.open_footage(data, run or name, split)
    model = zoo.load(name)
    context, steps = prediction_setup.lengths(model, context, steps)
    samples = prediction_setup.draws(model, samples)
    asked = {"context": context, "samples": samples, "limit": limit, "seed": seed}
    figures = prediction_setup.evaluate_model(
        model, source, steps=steps, report=progress(), **asked
    )
    figures = prediction_setup.result(figures, model, source, name, split, run=run, **asked)
    _finish(figures, tables.prediction, as_json, card, name, model, source, run, "prediction")


def representation(
    name: Name,
    data: Annotated[
        Path, typer.Option(help="Folder of one folder per class, or the Weizmann strips.")
    ],
    baselines: Annotated[bool, typer.Option(help="Measure the baselines as well.")] = True,
    seed: Annotated[int, typer.Option(min=0, help="Of the draws of labelled clips.")] = 0,
    card: Card = None,
    run: RunOfCard = None,
    as_json: Json = False,
):
    """Measure what the embeddings of a model tell about the class of a clip.

    A linear probe and nearest neighbours on `encode` of the clip and on pooled `features`, on
    groups (people, source videos) that were held out: with all labels, with one, two and five
    labelled clips of a class, and with the clips of one, two, five and eight people labelled.
    Beside them stand the same model with random weights, principal components of the pixels, and
    motion energy.
    """
    _begin(name, data, card, run)
    import zoo
    from zoo.commands import representation_setup
    from zoo.commands.labelled_setup import open_labelled

    source = open_labelled(data)
    model = zoo.load(name)
    figures = representation_setup.evaluate_model(
        model, source, with_baselines=baselines, seed=seed, report=progress()
    )
    figures = representation_setup.result(figures, model, source, name, run)
    section = "representation"
    _finish(figures, tables.representation, as_json, card, name, model, source, run, section)


def tracking(
    name: Name,
    data: Annotated[Path, typer.Option(help="Footage with exact tracks, of `synthetic_cctv`.")],
    split: Split = None,
    card: Card = None,
    run: RunOfCard = None,
    as_json: Json = False,
):
    """Measure how far a box is carried by the descriptors of a model.

    The box of everybody who comes into view, given once, is carried on by nearest descriptors.
    Given is its mean overlap with the true box, beside the same model with random weights, raw
    pixels as descriptors on the same grid, and the box left where it was.
    """
    _begin(name, data, card, run)
    import zoo
    from zoo.commands import tracking_setup

    source = tracking_setup.open_tracked(data, split)
    model = zoo.load(name)
    figures = tracking_setup.evaluate_model(model, source, report=progress())
    figures = {"model": str(name), **figures}
    _finish(figures, tables.tracking, as_json, card, name, model, source, run, "tracking")


def _begin(name, data, card, run, **files):
    """Says what would keep an evaluation from being made or written, and loads TensorFlow."""
    log()
    for option, file in {**files, "card": card}.items():
        if file is not None and not file.resolve().parent.is_dir():
            raise ValueError(f"`{option}` must be in a folder that is there. Received: {file}")
        check_out(file, argument=option)
    check_there(data)
    check_there(run, "run")
    check_model(name)
    load_tensorflow()
    if card is not None:
        from zoo.commands import card_setup

        card_setup.find_training(card, name, run)


def _finish(figures, lay_out, as_json, card, name, model, source, run, section):
    """Writes figures into a card, where one is asked for, and tells them."""
    from zoo.commands import card_setup

    if card is not None:
        card_setup.write_card(
            card, name, model, source, figures, command_line(), run, section=section
        )
        say(f"card: {card}")
    if as_json:
        emit_json(figures)
        return
    for line in lay_out(figures):
        typer.echo(line)
