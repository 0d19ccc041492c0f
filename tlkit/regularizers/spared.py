"""Variables that weight decay and regularisers leave alone by default."""

from __future__ import annotations

import re

from tlkit.tensors import KerasVariable

# biases, scales and offsets, slopes and thresholds, whatever their rank: attention's bias is a
# matrix, PReLU's slopes a picture. Pulling a scale to zero switches its channel off, pulling a
# threshold's argument to zero raises the threshold
_NAMES = re.compile(r"(^|_)(bias|beta|gamma|scale|scalar|offset|gain|threshold|alpha)$")
# positions and learned tokens, which are inputs and not weights
_TABLES = re.compile(
    r"(^|_)(pos|position|positions|positional|relative_position)_"
    r"(emb|embed|embedding|embeddings|encoding|bias|attention|table)"
    r"|^rel_(pos|embedding)|(^|_)(class|cls|mask|register|query|distillation)_(token|embedding)s?$"
)


def is_spared(variable: KerasVariable) -> bool:
    """Whether a variable is not a weight matrix, so that pulling it to zero does harm.

    All vectors and scalars are spared (biases, scales and offsets of norms, layer
    scales, thresholds). Variables of the same kind with more dimensions are spared by
    name: attention biases, PReLU slopes, position embeddings, class tokens and other
    learned tokens. What remains are kernels and word embeddings. (The rule of timm's
    `param_groups_weight_decay` and of Touvron et al. 2021, "Training data-efficient
    image transformers".)

    Args:
        variable: Variable of a built layer.
    """
    path = str(getattr(variable, "path", None) or variable.name).split("/")
    # an `Embedding` calls its table `embeddings`; its own name says what of
    name = path[-2] if path[-1] == "embeddings" and len(path) > 1 else path[-1]
    return len(variable.shape) < 2 or bool(_NAMES.search(path[-1]) or _TABLES.search(name))
