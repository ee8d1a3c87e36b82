"""Whether a variational autoencoder uses its latents: activity and divergence, over a dataset."""

import numpy as np

from zoo.layers.moments import Moments

ACTIVE_VARIANCE = 0.01


def active_latents(model, dataset):
    """Measures which latents vary with what is seen, and what they cost.

    A latent is active where the variance of its posterior mean, over all clips and places of the
    grid, is above 0.01 (Burda et al. 2016, section 5.2). Divergences are means over clips and
    places, in nats; the groups are those of the model's free bits: each latent channel, in the
    first segments of the clips (prior standard Gaussian) and in the others (prior learned from
    the segment before) apart. Memory does not grow with the dataset.

    Args:
        model: A `VideoVAE`: `latents(clip)` and `free_bits` are asked for.
        dataset: Iterable of clips `(batch, time, height, width, channels)`, float32 in [0, 1], or
            of `(clips, targets)`; held out from training.

    Returns:
        Dict of JSON values: `variance` (list, of the posterior mean of each latent channel),
        `active_share` (of the channels with a variance above 0.01), `divergence` (dict of the
        lists `standard_prior` and `learned_prior`, the last None where all clips are one segment
        long), `free_bits`, `smallest_to_free_bits` (the smallest of all divergences as a
        multiple of the free bits, None without any), `finite` (bool) and `clips`.

    Raises:
        ValueError: If the dataset is empty.

    Example:

    >>> model = zoo.load("video_vae", weights=None)
    >>> sorted(active_latents(model, [tf.zeros((1, 8, 16, 24, 1))]))[:2]
    ['active_share', 'clips']

    Reference:
        Burda, Grosse and Salakhutdinov, "Importance Weighted Autoencoders", 2016,
        https://arxiv.org/abs/1509.00519
    """
    means, first, others = Moments(), Moments(), Moments()
    clips = 0
    for element in dataset:
        clip = element[0] if isinstance(element, (tuple, list)) else element
        latents = {name: np.asarray(value) for name, value in model.latents(clip).items()}
        means.add(latents["mean"])
        first.add(latents["divergence"][:, :1])
        others.add(latents["divergence"][:, 1:])
        clips += len(clip)
    if not clips:
        raise ValueError("`dataset` must hold clips. Received: an empty one")
    divergences = [part.mean for part in (first, others) if part.count]
    smallest = float(np.min(divergences))
    variance = means.scatter / means.count
    return {
        "clips": clips,
        "variance": variance.tolist(),
        "active_share": float(np.mean(variance > ACTIVE_VARIANCE)),
        "divergence": {
            "standard_prior": first.mean.tolist(),
            "learned_prior": others.mean.tolist() if others.count else None,
        },
        "free_bits": float(model.free_bits),
        "smallest_to_free_bits": smallest / model.free_bits if model.free_bits else None,
        "finite": bool(np.all(np.isfinite(divergences)) and np.all(np.isfinite(means.mean))),
    }
