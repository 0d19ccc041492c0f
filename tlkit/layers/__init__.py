"""Layers that Keras lacks, one concept per file; they need Keras and nothing else of tlkit."""

from typing import TYPE_CHECKING

import keras  # noqa: F401 - before the files here, which `tlkit.serializable` imports with it

from tlkit.registry import exports

if TYPE_CHECKING:  # what editors complete; the names come from the registry
    from tlkit.layers.drop_connect import DropConnectConv2D as DropConnectConv2D
    from tlkit.layers.drop_connect import DropConnectDense as DropConnectDense
    from tlkit.layers.fractional_max_pooling import FractionalMaxPooling2D as FractionalMaxPooling2D
    from tlkit.layers.fused_batch_normalization import (
        FusedBatchNormalization as FusedBatchNormalization,
    )
    from tlkit.layers.fused_group_normalization import (
        FusedGroupNormalization as FusedGroupNormalization,
    )
    from tlkit.layers.local_response_normalization import (
        LocalResponseNormalization as LocalResponseNormalization,
    )
    from tlkit.layers.native import dropout as dropout
    from tlkit.layers.native import feature_noise as feature_noise
    from tlkit.layers.native import gaussian_dropout as gaussian_dropout
    from tlkit.layers.native import spatial_dropout as spatial_dropout
    from tlkit.layers.residual_shrinkage import ResidualShrinkageBlock as ResidualShrinkageBlock
    from tlkit.layers.soft_threshold import SoftThreshold as SoftThreshold
    from tlkit.layers.stochastic_depth import StochasticDepth as StochasticDepth
    from tlkit.layers.weight_standardization import (
        WeightStandardizedConv2D as WeightStandardizedConv2D,
    )

__getattr__, __dir__ = exports(__name__)
