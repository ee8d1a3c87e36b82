"""The catalogue, data only: which models there are, and with which arguments."""

import dataclasses

import zoo


@dataclasses.dataclass(frozen=True)
class Preset:
    """A model of the catalogue with its arguments.

    Attributes:
        name: `MODEL/DATASET`.
        model: Name in `zoo` of the class that the arguments are for.
        arguments: Arguments of its constructor.
        description: One sentence for `zoo list`.
        paper: Where the model comes from.
        training: What `zoo train` takes where nothing else is said: `frames` of a training clip,
            `stride` between windows, `crop` (height, width) in pixels, `batch` clips, `steps`,
            `learning_rate`, and the like.
        small: Arguments that make the same structure a hundredth of the size, for the contract
            suite: a new model has all its tests by being in the catalogue.
    """

    name: str
    model: str
    arguments: dict
    description: str
    paper: str
    training: dict
    small: dict

    @property
    def model_class(self):
        """The class itself; to look into the catalogue, TensorFlow need not be loaded."""
        return getattr(zoo, self.model)


_PED2 = {"clip_shape": (16, 128, 192, 1), "fps": 10.0, "channels": 1}
_PED2_TRAINING = {
    "frames": 12,
    "stride": 4,
    "crop": (64, 64),
    "batch": 16,
    "steps": 4000,
    "learning_rate": 1.5e-3,
    "augment": ("flip",),
}

# Ten frames to ten. Digits move all over an empty frame, by about a patch of four a frame: on
# patches of eight, or as changes from the last frame, their motion is learned far more slowly.
_MOVING_MNIST = {
    "clip_shape": (20, 64, 64, 1),
    "fps": 10.0,
    "channels": 1,
    "horizons": 10,
    "filters": (32, 32),
    "patch": 4,
    "residual": False,
    "pixel_mean": 0.05,
}
_MOVING_MNIST_TRAINING = {
    "frames": 20,
    "stride": 20,
    "crop": None,
    "batch": 8,
    "steps": 1000,
    "learning_rate": 3e-3,
}

_SMALL_VAE = {
    "filters": (4, 6, 8),
    "state_filters": (4, 8),
    "decoder_filters": (6, 8, 8),
    "latent_dim": 3,
}

_ALL = (
    Preset(
        name="convlstm_vae/ucsd_ped2",
        model="ConvLSTMVAE",
        # The scale is about the error that a trained model makes, so that the bound weighs the
        # latent as it should.
        arguments={
            **_PED2,
            "observation_scale": 0.03,
            "posterior_share": 0.25,
            # Chosen on held-out training videos; see the card.
            "score_horizon": 3,
        },
        description="ConvLSTM state, Gaussian latent with a learned prior, four frames ahead.",
        paper="Chung et al. 2015; Denton and Fergus 2018; Lu et al. 2019",
        training={**_PED2_TRAINING, "kl_warm_up_steps": 1000},
        small=_SMALL_VAE,
    ),
    Preset(
        name="convlstm_vae/synthetic_cctv",
        model="ConvLSTMVAE",
        arguments={
            "clip_shape": (16, 96, 144, 1),
            "fps": 10.0,
            "channels": 1,
            "filters": (12, 24, 32),
            "state_filters": (12, 32),
            "decoder_filters": (16, 24, 32),
            "latent_dim": 4,
            "observation_scale": 0.05,
            "posterior_share": 0.25,
            # Chosen on a held-out training video with synthetic anomalies, as for Ped2.
            "score_horizon": 1,
        },
        description="A small convlstm_vae for the quickstart, trained in a minute where it runs.",
        paper="As convlstm_vae/ucsd_ped2",
        training={
            "frames": 10,
            "stride": 4,
            "crop": (48, 48),
            "batch": 8,
            "steps": 400,
            "learning_rate": 3e-3,
        },
        small=_SMALL_VAE,
    ),
    Preset(
        name="convlstm_vae/weizmann",
        model="ConvLSTMVAE",
        arguments={
            "clip_shape": (16, 64, 64, 1),
            "fps": 25.0,
            "channels": 1,
            "observation_scale": 0.03,
            "posterior_share": 0.25,
        },
        description="The same on people who act in front of a wall, learned without labels.",
        paper="As convlstm_vae/ucsd_ped2",
        training={
            **_PED2_TRAINING,
            "stride": 2,
            # The frames are 64x64 already, the size of the crops elsewhere.
            "crop": None,
            "steps": 1500,
            "kl_warm_up_steps": 375,
        },
        small=_SMALL_VAE,
    ),
    Preset(
        name="convlstm_predictor/ucsd_ped2",
        model="ConvLSTMPredictor",
        arguments=_PED2,
        description="ConvLSTM encoder-forecaster, four frames ahead.",
        paper="Shi et al. 2015; Hochreiter and Schmidhuber 1997",
        training={**_PED2_TRAINING, "steps": 1000},
        small={"filters": (8, 6)},
    ),
    Preset(
        name="foresight/ucsd_ped2",
        model="Foresight",
        # Chosen on held-out training videos; see the card.
        arguments={**_PED2, "score_horizon": 7},
        description="Gated averages over many time scales, eight frames ahead: this zoo's own.",
        paper="After Bradbury et al. 2017; Shi et al. 2015",
        training={**_PED2_TRAINING, "frames": 16, "steps": 3000},
        small={
            "filters": (4, 6, 8),
            "scan_filters": (4, 8),
            "scan_layers": 2,
            "decoder_filters": (6, 8, 8),
            "horizons": 4,
            "score_horizon": 4,
        },
    ),
    Preset(
        name="multiscale_gan/ucsd_ped2",
        model="MultiscaleGAN",
        arguments={
            **_PED2,
            "gradient_weight": 0.1,
            # Ten times as much lost 2.2 dB of PSNR and 1.0 of sharpness to L2 alone on held-out
            # training videos (`benchmarks/sharpness.py --minutes 9`, one seed).
            "adversarial_weight": 0.0002,
            "horizons": 4,
            # Chosen on held-out training videos; see the card.
            "score_horizon": 4,
        },
        description="Four-scale predictor of the next frame, with a discriminator at each scale.",
        paper="Mathieu, Couprie and LeCun 2016",
        training={
            **_PED2_TRAINING,
            "frames": 7,
            "stride": 3,
            "steps": 2300,
            "beta_1": 0.5,
        },
        small={
            "filters": 4 * ((4, 6, 4),),
            "discriminator_filters": (4, 4, 6),
            "horizons": 2,
            "score_horizon": 2,
        },
    ),
    Preset(
        name="video_vae/ucsd_ped2",
        model="VideoVAE",
        # Chosen on held-out training videos; see the card.
        arguments={**_PED2, "observation_scale": 0.02, "score_horizon": 4},
        description="Variational autoencoder of segments of four frames, each the next's context.",
        paper="Kingma and Welling 2014; Sohn et al. 2015; Kingma et al. 2016",
        training={
            **_PED2_TRAINING,
            "frames": 8,
            "batch": 24,
            "steps": 2500,
            "kl_warm_up_steps": 300,
        },
        small={"filters": (4, 6, 8), "decoder_filters": (6, 8, 8), "latent_dim": 3},
    ),
    Preset(
        name="video_gan/weizmann",
        model="VideoGAN",
        arguments={
            "clip_shape": (16, 64, 64, 1),
            "fps": 25.0,
            "channels": 1,
            "labels": (
                "bend",
                "jack",
                "jump",
                "pjump",
                "run",
                "side",
                "walk",
                "wave1",
                "wave2",
            ),
            "adversarial_loss": "hinge",
            "adversarial_weight": 0.15,
            # Kernels of norm one tell a smear from a person too slowly for an hour of two cores.
            "spectral_norm": False,
            "average_decay": 0.995,
            "class_weight": 0.15,
            "diversity_weight": 0.75,
        },
        description="Draws one of nine actions, from a first frame or from nothing.",
        paper="Goodfellow et al. 2014; Vondrick et al. 2016; Tulyakov et al. 2018",
        training={
            "frames": 17,
            "stride": 2,
            "crop": None,
            "batch": 16,
            "steps": 4000,
            "learning_rate": 5e-4,
            "beta_1": 0.5,
            "augment": ("flip",),
        },
        small={
            "filters": (4, 6, 8),
            "motion_filters": 6,
            "content_dim": 4,
            "motion_dim": 3,
            "discriminator_filters": (4, 6, 8),
            "frame_filters": (4, 4, 6),
        },
    ),
    Preset(
        name="composite_lstm/ucsd_ped2",
        model="CompositeLSTM",
        # The horizon was chosen on held-out training videos; see the card.
        arguments={**_PED2, "horizons": 8, "score_horizon": 8},
        description="ConvLSTM encoder with two decoders: the past reversed, eight frames ahead.",
        paper="Srivastava et al. 2015",
        training={**_PED2_TRAINING, "frames": 16, "steps": 2500},
        small={"filters": (8, 6), "context_frames": 4, "horizons": 4, "score_horizon": 3},
    ),
    Preset(
        name="composite_lstm/moving_mnist",
        model="CompositeLSTM",
        # Unconditional, as the authors' own settings for digits are.
        arguments={**_MOVING_MNIST, "conditional": (), "context_frames": 10},
        description="The same on two moving digits: ten frames reversed, ten ahead.",
        paper="Srivastava et al. 2015",
        training={**_MOVING_MNIST_TRAINING, "steps": 2000},
        small={"filters": (8, 6), "horizons": 4, "context_frames": 4},
    ),
    Preset(
        name="convlstm_predictor/moving_mnist",
        model="ConvLSTMPredictor",
        arguments=_MOVING_MNIST,
        description="ConvLSTM encoder-forecaster on two moving digits, ten frames ahead.",
        paper="Shi et al. 2015",
        training=_MOVING_MNIST_TRAINING,
        small={"filters": (8, 6), "horizons": 4},
    ),
    Preset(
        name="pca/ucsd_ped2",
        model="PCA",
        # Chosen on held-out training videos, the window of the largest average too: over the 16
        # pixels of the others it finds less than the copy of the last frame does. See the README.
        arguments={
            **_PED2,
            "window": 6,
            "components": 64,
            "score_branch": "prediction",
            "score_horizon": 1,
            "score_window": 48,
        },
        description="Principal components of patches of 8x8 pixels and six frames.",
        paper="Kiran et al. 2018",
        # One pass over every window of every video.
        training={"frames": 6, "stride": 1, "crop": None, "steps": 2000},
        small={"components": 12, "window": 4},
    ),
    Preset(
        name="conv3d_autoencoder/ucsd_ped2",
        model="Conv3DAutoencoder",
        # Chosen on held-out training videos; see the card.
        arguments={**_PED2, "score_branch": "prediction", "score_horizon": 8},
        description="Convolutions over space and time: eight frames drawn again, eight ahead.",
        paper="Zhao et al. 2017; Hasan et al. 2016",
        training={**_PED2_TRAINING, "frames": 16, "steps": 1200},
        small={
            "filters": (4, 6, 8),
            "depth": 6,
            "context_frames": 4,
            "horizons": 4,
            "score_horizon": 3,
        },
    ),
)

PRESETS = {preset.name: preset for preset in _ALL}
DEFAULTS = {
    "convlstm_vae": "convlstm_vae/ucsd_ped2",
    "convlstm_predictor": "convlstm_predictor/ucsd_ped2",
    "foresight": "foresight/ucsd_ped2",
    "multiscale_gan": "multiscale_gan/ucsd_ped2",
    "video_gan": "video_gan/weizmann",
    "video_vae": "video_vae/ucsd_ped2",
    "composite_lstm": "composite_lstm/ucsd_ped2",
    "pca": "pca/ucsd_ped2",
    "conv3d_autoencoder": "conv3d_autoencoder/ucsd_ped2",
}
