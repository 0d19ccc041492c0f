"""The optimizer of a stage: what it lets decay, and what its rules reach."""

import keras
import numpy as np
import pytest

from tlkit.freeze import make_plan
from tlkit.model import build_network
from tlkit.recipe.schema import Model, Stage
from tlkit.regularizers import SoftWeightSharing
from tlkit.regularizers.spared import is_spared
from tlkit.tasks.classification import Classification
from tlkit.train.stage_setup import make_optimizer


@pytest.fixture(scope="module")
def network():
    config = Model.model_validate(
        {"backbone": "tiny", "weights": "none", "insert": ["soft_threshold"]}
    )
    return build_network(config, Classification(["a", "b", "c"]), (32, 32))


@pytest.mark.parametrize("kind", ["adamw", "muon", "lion", "sgd"])
@pytest.mark.parametrize("options", [{}, {"layer_decay": 0.5, "adaptive_clipping": 0.1}])
def test_matrices_of_weights_decay_and_nothing_else(network, kind, options):
    stage = Stage.model_validate(
        {"policy": "full", "epochs": 1, "optimizer": {kind: {"weight_decay": 0.5}}, **options}
    )
    plan = make_plan(
        "full", {}, network.blocks, network.head, layer_decay=options.get("layer_decay")
    )
    by_path = {v.path: v for v in network.model.variables}
    variables = [by_path[path] for path in plan.trainable]
    mixture = SoftWeightSharing().variables
    optimizer = make_optimizer(stage, plan, network, mixture)
    optimizer.learning_rate = 0.1
    optimizer.build(variables + mixture)
    for v in variables + mixture:
        v.assign(np.ones(v.shape))
    # zero gradients: what moves, decays
    optimizer.apply([keras.ops.zeros(v.shape) for v in variables + mixture])
    for v in variables + mixture:
        factor = plan.multipliers.get(v.path, 1.0)
        expected = 1.0 if is_spared(v) or id(v) in map(id, mixture) else 1 - 0.1 * factor * 0.5
        np.testing.assert_allclose(np.asarray(v), expected, rtol=1e-5, err_msg=v.path)
    assert sum(not is_spared(v) for v in variables) > 5
