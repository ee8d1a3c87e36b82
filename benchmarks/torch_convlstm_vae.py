"""The scoring step of `convlstm_vae` in PyTorch, with the weights of a model of the zoo.

For `benchmarks/scoring.py` alone: the same network in the other framework, so that a comparison
of speed compares frameworks and not networks.
"""

import numpy as np
import torch
from same_padding import same_padding
from torch import nn
from torch.nn import functional

SLOPE = 0.1


class Convolution(nn.Module):
    """A convolution with the weights of a `keras.layers.Conv2D` and its "same" padding."""

    def __init__(self, layer, activate=True):
        super().__init__()
        kernel = np.asarray(layer.kernel)
        self.stride = layer.strides[0]
        self.size = kernel.shape[0]
        self.activate = activate
        outputs, inputs = kernel.shape[3], kernel.shape[2]
        # With an odd kernel and stride 1 both frameworks pad alike; else the zeros are put by hand.
        padding = self.size // 2 if self.stride == 1 else 0
        self.convolution = nn.Conv2d(inputs, outputs, self.size, self.stride, padding)
        with torch.no_grad():
            self.convolution.weight.copy_(torch.tensor(kernel.transpose(3, 2, 0, 1).copy()))
            self.convolution.bias.copy_(torch.tensor(np.asarray(layer.bias)))

    def forward(self, x):
        if self.stride > 1:
            down = same_padding(x.shape[2], self.size, self.stride)
            across = same_padding(x.shape[3], self.size, self.stride)
            x = functional.pad(x, (*across, *down))
        x = self.convolution(x)
        return functional.leaky_relu(x, SLOPE) if self.activate else x


class Memory(nn.Module):
    """A ConvLSTM cell: the gates of input and state as one convolution of both."""

    def __init__(self, layer):
        super().__init__()
        kernel = np.concatenate(
            [np.asarray(layer.kernel), np.asarray(layer.recurrent_kernel)], axis=2
        )
        size, _, inputs, outputs = kernel.shape
        self.gates = nn.Conv2d(inputs, outputs, size, padding=size // 2)
        with torch.no_grad():
            self.gates.weight.copy_(torch.tensor(kernel.transpose(3, 2, 0, 1).copy()))
            self.gates.bias.copy_(torch.tensor(np.asarray(layer.bias)))

    def forward(self, x, hidden, cell):
        gates = self.gates(torch.cat([x, hidden], dim=1))
        gate_in, gate_forget, candidate, gate_out = gates.chunk(4, dim=1)
        cell = torch.sigmoid(gate_forget) * cell + torch.sigmoid(gate_in) * torch.tanh(candidate)
        return torch.sigmoid(gate_out) * torch.tanh(cell), cell


def depth_to_space(x, size=2):
    """TensorFlow's order of channels, which differs from `pixel_shuffle`'s."""
    batch, channels, height, width = x.shape
    x = x.view(batch, size, size, channels // size**2, height, width)
    x = x.permute(0, 3, 4, 1, 5, 2)
    return x.reshape(batch, channels // size**2, height * size, width * size)


class TorchConvLSTMVAE(nn.Module):
    """`ConvLSTMVAE.step` for one stream: the mean of the prior, the largest window of error.

    Args:
        model: A built `zoo.ConvLSTMVAE` of one channel with `score_pooling="max"`.
    """

    def __init__(self, model):
        super().__init__()
        self.horizons, self.score_horizon = model.horizons, model.score_horizon
        self.warm_up, self.side = model.warm_up, model.score_window // 8
        encoder, decoder = model.encoder, model.decoder
        self.frame_encoder = nn.ModuleList(
            Convolution(layer) for layer in encoder.frame_encoder.convolutions
        )
        self.memory_4, self.memory_8 = Memory(encoder.memory_4), Memory(encoder.memory_8)
        self.filters = model.state_filters
        self.latent_dim = model.latent_dim
        self.mix = Convolution(model.prior.mix)
        self.moments = Convolution(model.prior.moments, activate=False)
        self.merge_8, self.up_4 = Convolution(decoder.merge_8), Convolution(decoder.up_4)
        self.merge_4, self.up_2 = Convolution(decoder.merge_4), Convolution(decoder.up_2)
        self.merge_2 = Convolution(decoder.merge_2)
        self.up_1 = Convolution(decoder.up_1, activate=False)

    def initial_state(self, height, width):
        """Zeros, and no frame seen."""
        fine, coarse = self.filters
        return {
            "hidden_4": torch.zeros(1, fine, height // 4, width // 4),
            "cell_4": torch.zeros(1, fine, height // 4, width // 4),
            "hidden_8": torch.zeros(1, coarse, height // 8, width // 8),
            "cell_8": torch.zeros(1, coarse, height // 8, width // 8),
            "previous": None,
            "pending": [torch.zeros(1, 1, height, width)] * self.score_horizon,
            "seen": 0,
        }

    @torch.inference_mode()
    def step(self, frame, state):
        """`(1, 1, height, width)` in [0, 1] and a state -> (score, state)."""
        previous = frame if state["previous"] is None else state["previous"]
        maps = torch.cat([frame, frame - previous], dim=1)
        levels = []
        for layer in self.frame_encoder:
            maps = layer(maps)
            levels.append(maps)
        hidden_4, cell_4 = self.memory_4(levels[1], state["hidden_4"], state["cell_4"])
        hidden_8, cell_8 = self.memory_8(levels[2], state["hidden_8"], state["cell_8"])
        latent = self.moments(self.mix(hidden_8))[:, : self.latent_dim]
        maps = self.merge_8(torch.cat([hidden_8, latent], dim=1))
        maps = depth_to_space(self.up_4(maps))
        maps = self.merge_4(torch.cat([maps, levels[1], hidden_4], dim=1))
        maps = depth_to_space(self.up_2(maps))
        maps = self.merge_2(torch.cat([maps, levels[0]], dim=1))
        predictions = (frame + depth_to_space(self.up_1(maps))).clamp(0, 1)
        error = (frame - state["pending"][0]).square()
        blocks = functional.avg_pool2d(error, 8)
        score = functional.avg_pool2d(blocks, self.side, 1).max().item()
        horizon = self.score_horizon - 1
        new_state = {
            "hidden_4": hidden_4,
            "cell_4": cell_4,
            "hidden_8": hidden_8,
            "cell_8": cell_8,
            "previous": frame,
            "pending": [*state["pending"][1:], predictions[:, horizon : horizon + 1]],
            "seen": state["seen"] + 1,
        }
        return (score if state["seen"] >= self.warm_up else 0.0), new_state
