"""Puts what a benchmark found into the card of a model."""

import shlex
import sys

from zoo.evaluation.card import with_evaluation
from zoo.training.run_folder import versions
from zoo.training.whole_files import read_json, write_json


def add_option(parser):
    """Adds `--card`, any number of cards."""
    parser.add_argument("--card", action="append", default=[], help="card to put the result in")


def check(parser, cards):
    """Ends with a message where a card cannot be read: to be called before hours of work."""
    for card in cards:
        try:
            read_json(card)["evaluation"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            parser.error(f"--card must be a model's card. Received: {card}: {error}")


def put(cards, section, report):
    """Puts a report into cards, under a name of `zoo.evaluation.card.SECTIONS`."""
    command = shlex.join(["python", *sys.argv])
    for card in cards:
        stated = {"command": command, "versions": versions(), "section": section}
        write_json(card, with_evaluation(read_json(card), report, **stated))
