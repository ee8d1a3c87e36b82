"""Whether a variational autoencoder uses its latents, and its bounds, on held-out footage.

    python benchmarks/latents.py runs/mine --data ucsd_ped2/

Clips are cut as in training, of the training videos that the model held out. One JSON object is
printed: the variance of each latent's posterior mean and the share above 0.01, divergences in nats
beside the free bits, and the bounds in nats per pixel value: the evidence lower bound by one draw,
and the importance-weighted one by `--samples`.
"""

import argparse
import json
import sys

import card_section
import numpy as np

import data_pipelines
import zoo
from zoo.commands import training_setup
from zoo.commands.held_out import record_of, recorded_split
from zoo.evaluation.latents import active_latents


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("name", help="preset or run folder of a variational autoencoder")
    parser.add_argument("--data", required=True, help="footage")
    parser.add_argument("--clips", type=int, default=64)
    parser.add_argument("--samples", type=int, default=16, help="of the weighted bound")
    parser.add_argument("--seed", type=int, default=0, help="of the draws")
    card_section.add_option(parser)
    arguments = parser.parse_args()
    card_section.check(parser, arguments.card)
    model = zoo.load(arguments.name)
    if not hasattr(model, "latents"):
        parser.error(f"{arguments.name} has no latents")
    _, held_out = recorded_split([arguments.name], arguments.data)
    dataset = clips(held_out, model, record_of(arguments.name)["arguments"], arguments.clips)
    bounds = {"elbo": [], "importance_weighted_bound": []}
    for number, clip in enumerate(dataset):
        seed = batch_seed(arguments.seed, number)
        bounds["elbo"] += model.elbo(clip, seed).numpy().tolist()
        weighted = model.importance_weighted_bound(clip, arguments.samples, seed)
        bounds["importance_weighted_bound"] += weighted.numpy().tolist()
    report = {
        **active_latents(model, dataset),
        **{name: float(np.mean(values)) for name, values in bounds.items()},
        "held_out_videos": [video.name for video in held_out.videos],
        "samples": arguments.samples,
        "seed": arguments.seed,
    }
    card_section.put(arguments.card, "latents", report)
    sys.stdout.write(json.dumps(report, indent=2) + "\n")


def batch_seed(seed, number):
    """The seed of one batch: equal ones would draw the same noise for all of them."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0] >> 1)


def clips(source, model, training, count):
    """Batches of clips of some videos, cut as `training`, the arguments of the run, says."""
    batch, clip = 8, training_setup.clip_spec(training, model)
    return data_pipelines.load(source, clip, batch=batch, shuffle=256).take(-(-count // batch))


if __name__ == "__main__":
    main()
