"""How well autoencoders draw held-out footage again, beside a mean frame and PCA of patches.

    python benchmarks/reconstruction.py video_vae runs/mine --data ucsd_ped2/

Mean squared error of pixels in [0, 1] over the training videos that all of the models held out, in
whole frames. The baselines are fitted on those that all were trained on; PCA has as many numbers in
the code of a clip as the model. One JSON object is printed, with an entry per model.
"""

import argparse
import json
import sys

import card_section

import data_pipelines
import zoo
from zoo.commands.held_out import recorded_split
from zoo.evaluation.reconstruction import reconstruction_errors

BATCH = 4


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="+", help="presets or run folders")
    parser.add_argument("--data", required=True, help="footage")
    parser.add_argument("--frames", type=int, default=16, help="of a clip; clips do not overlap")
    card_section.add_option(parser)
    arguments = parser.parse_args()
    card_section.check(parser, arguments.card)
    if arguments.card and len(arguments.names) > 1:
        parser.error(f"--card is of one model. Received: {', '.join(arguments.names)}")
    train, held_out = recorded_split(arguments.names, arguments.data)
    report = {"held_out_videos": [video.name for video in held_out.videos]}
    frames = arguments.frames
    for name in arguments.names:
        model = zoo.load(name)
        report[name] = reconstruction_errors(
            model, clips(train, model, frames), clips(held_out, model, frames)
        )
        card_section.put(arguments.card, "reconstruction", report[name])
    sys.stdout.write(json.dumps(report, indent=2) + "\n")


def clips(source, model, frames):
    """All clips of some videos, one after the other, at the model's rate, size and colour."""
    spec = data_pipelines.ClipSpec(
        frames=frames,
        stride=frames,
        fps=model.fps,
        size=tuple(model.clip_shape[1:3]),
        channels=model.channels,
    )
    return data_pipelines.load(source, spec, batch=BATCH)


if __name__ == "__main__":
    main()
