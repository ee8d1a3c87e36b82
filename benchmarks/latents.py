"""Whether a variational autoencoder uses its latents, and its bounds, on held-out footage.

    python benchmarks/latents.py runs/mine --data ucsd_ped2/

Clips are cut as in training, of the training videos that `zoo train` holds out. One JSON object is
printed: the variance of each latent's posterior mean and the share above 0.01, divergences in nats
beside the free bits, and the bounds in nats per pixel value: the evidence lower bound by one draw,
and the importance-weighted one by `--samples`.
"""

import argparse
import json
import sys

import numpy as np

import data_pipelines
import zoo
from zoo.commands import training_setup
from zoo.evaluation.latents import active_latents
from zoo.presets import PRESETS


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("name", help="preset or run folder of a variational autoencoder")
    parser.add_argument("--data", required=True, help="footage")
    parser.add_argument("--clips", type=int, default=64)
    parser.add_argument("--samples", type=int, default=16, help="of the weighted bound")
    parser.add_argument("--seed", type=int, default=0, help="of the draws")
    arguments = parser.parse_args()
    model = zoo.load(arguments.name)
    if not hasattr(model, "latents"):
        parser.error(f"{arguments.name} has no latents")
    dataset = held_out_clips(arguments.data, model, arguments.clips)
    bounds = {"elbo": [], "importance_weighted_bound": []}
    for clip in dataset:
        bounds["elbo"] += model.elbo(clip, arguments.seed).numpy().tolist()
        weighted = model.importance_weighted_bound(clip, arguments.samples, arguments.seed)
        bounds["importance_weighted_bound"] += weighted.numpy().tolist()
    report = {
        **active_latents(model, dataset),
        **{name: float(np.mean(values)) for name, values in bounds.items()},
        "samples": arguments.samples,
        "seed": arguments.seed,
    }
    sys.stdout.write(json.dumps(report, indent=2) + "\n")


def held_out_clips(data, model, count):
    """Batches of clips of the held-out videos, cut as the model's preset cuts them."""
    preset = next(p for p in PRESETS.values() if p.model_class is type(model))
    training = {**training_setup.TRAINING, **preset.training}
    _, held_out = training_setup.split_videos(data_pipelines.open_source(data))
    if held_out is None:
        raise SystemExit("three videos at least are needed: the last are held out")
    clip = data_pipelines.ClipSpec(
        frames=training["frames"],
        stride=training["stride"],
        fps=model.fps,
        size=tuple(model.clip_shape[1:3]),
        channels=model.channels,
        crop=training["crop"],
        crop_mode=training["crop_mode"],
    )
    batch = 8
    return data_pipelines.load(held_out, clip, batch=batch, shuffle=256).take(-(-count // batch))


if __name__ == "__main__":
    main()
