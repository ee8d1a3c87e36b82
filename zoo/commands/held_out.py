"""What a training held out of its footage, as its record says, for what is measured on it."""

from pathlib import Path

import numpy as np

import data_pipelines
from zoo import registry
from zoo.commands.card_setup import run_record


def recorded_split(names, data):
    """Opens the videos that models were trained on, and those that they held out.

    Args:
        names: List of run folders, and of presets whose card says it.
        data: Path of the footage that they were trained on. Where it has a train split, that alone
            is read: no test video comes in, even if it is called like a held-out one.

    Returns:
        `(train, held_out)`: two `data_pipelines.Source`, of the videos that all of `names` were
        trained on and that all of them held out.

    Raises:
        ValueError: If a model has no record, all of them held out no video in common, or a video of
            a record is not in `data`; some of those missing are named.
    """
    source = data_pipelines.open_source(data)
    if "train" in source.splits:
        source = data_pipelines.open_source(source, split="train")
    records = [record_of(name) for name in names]
    parts = [
        set.intersection(*(set(record.get(key, ())) for record in records))
        for key in ("train_videos", "held_out_videos")
    ]
    said = ", ".join(map(str, names))
    if not parts[1]:
        raise ValueError(f"`name` must have held out videos. Received: {said}, with none in common")
    missing = sorted(set.union(*parts) - {video.name for video in source.videos})
    if missing:
        raise ValueError(
            f"`data` must hold the videos that {said} was trained with. Received: {data}, which "
            f"lacks {len(missing)}: {', '.join(missing[:5])}{', ...' if len(missing) > 5 else ''}"
        )
    train, held_out = ([video for video in source.videos if video.name in part] for part in parts)
    return source.subset(train), source.subset(held_out)


def spread(iterate, most):
    """Keeps some items of a stream, spread evenly over it, and holds no others.

    Args:
        iterate: Function that gives the stream; called twice, since its length shows at its end.
        most: How many to keep at most.

    Returns:
        List of items, in order.

    Example:

    >>> spread(lambda: iter(range(10)), 4)
    [0, 3, 6, 9]
    """
    count = sum(1 for _ in iterate())
    chosen = set(np.linspace(0, count - 1, min(most, count)).astype(int).tolist())
    return [item for number, item in enumerate(iterate()) if number in chosen]


def record_of(name):
    """What is known of the training of a model.

    Args:
        name: Run folder, or a preset with a card.

    Returns:
        Dict, as `run.json` has it or the card's `training`.

    Raises:
        ValueError: If there is no record, or one that does not name the videos.
    """
    record = run_record(name)
    if record is None and not Path(name).is_dir():
        record = (registry.info(str(name))["card"] or {}).get("training")
    if record is None:
        raise ValueError(
            "`name` must be a run folder of `zoo train` or a preset with a card, which say what "
            f"was held out. Received: {name}"
        )
    if "train_videos_count" in record:
        raise ValueError(
            f"`name` must say which videos were held out. Received: {name}, whose card says only "
            f"how many, of {record['train_videos_count']} and more; give its run folder"
        )
    return record
