"""Optimizers with a learning rate per variable, and clipping by the variable's weights."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import keras

from tlkit.errors import did_you_mean
from tlkit.optimizers.adaptive_clipping import adaptive_clip
from tlkit.regularizers.units import owners, unit_axes
from tlkit.tensors import KerasModel, KerasOptimizer, KerasVariable, Tensor

# what Keras finds the class under in a saved model
PACKAGE, NAME = "tlkit", "OptimizerByVariable"


def with_multipliers(optimizer: KerasOptimizer, multipliers: Mapping[str, float]) -> KerasOptimizer:
    """Scales the learning rate of the variables whose path matches a pattern.

    Variable i is updated as by the optimizer itself with `learning_rate * m_i`, including
    weight decay; with m = 0 the variable does not change. (For most optimizers this is
    m_i times the update. Two differ, as they do without multipliers: Ftrl's learning rate
    is part of its state, and Adafactor's is at most one over the root of the step.)
    Everything else works as before: `learning_rate` is a single number that schedules and
    callbacks read and set, gradients are clipped and accumulated before the update, slots
    are saved and restored. The factors are part of the optimizer's configuration, so a
    saved and reloaded model continues training with them.
    (Howard and Ruder 2018, "Universal Language Model Fine-tuning", section 3.2,
    discriminative fine-tuning.)

    Args:
        optimizer: Keras optimizer, built or not; its class is replaced by a subclass of it.
            For a `LossScaleOptimizer`, the inner optimizer is changed.
        multipliers: Maps regular expressions, searched in `variable.path`, to factors; if
            several match, their factors are multiplied. Every pattern must match a
            variable that the optimizer is built with, else building it raises a
            ValueError.

    Returns:
        The same optimizer.

    Raises:
        ValueError: for a factor that is negative or not finite, a pattern that is not a valid
            regular expression or matches nothing, or an optimizer that already has
            multipliers or whose updates cannot be scaled, such as `MultiOptimizer`.
    """
    for pattern, factor in multipliers.items():
        if not (factor >= 0 and math.isfinite(factor)):
            raise ValueError(f"a rate multiplier is 0 or more; got {factor} for {pattern!r}")
    inner = _inner(optimizer)
    if isinstance(inner, ByVariable) and inner.rules.multipliers is not None:
        raise ValueError("this optimizer has rate multipliers already")
    _check_patterns(multipliers)
    _derive(inner, multipliers=tuple((p, float(f)) for p, f in multipliers.items()))
    return optimizer


def with_adaptive_clipping(
    optimizer: KerasOptimizer,
    clipping: float = 0.01,
    exclude: Iterable[str] = (),
    model: KerasModel = None,
) -> KerasOptimizer:
    """Makes a Keras optimizer clip each unit's gradient relative to the unit's own weights.

    The gradient of an update is clipped after accumulation, loss scaling and other
    clipping, and before weight decay. See `adaptive_clip`. Like multipliers, this is
    part of the optimizer's configuration.

    Args:
        optimizer: Keras optimizer, as for `with_multipliers`.
        clipping: Largest ratio of a gradient's norm to the norm of its weights; 0.01 for
            batches of thousands, up to 0.1 for small batches.
        exclude: Regular expressions for the paths of variables that are not clipped; the
            paper excludes the last layer.
        model: Built model that will be trained; its layers determine what a unit of a
            kernel is. Without it, the kernel's shape does, which mistakes the input
            channels of transposed convolutions for units.

    Returns:
        The same optimizer.

    Raises:
        ValueError: if `clipping` is not positive, or a pattern is not a valid regular
            expression.
    """
    if not (clipping > 0 and math.isfinite(clipping)):
        raise ValueError(f"clipping must be positive, got {clipping!r}")
    exclude = tuple(exclude)
    _check_patterns(exclude)
    units: tuple[tuple[str, tuple[int, ...]], ...] = ()
    if model is not None:
        layer_of = owners(model)
        units = tuple(
            (v.path, tuple(unit_axes(layer_of.get(v.path), v))) for v in model.trainable_variables
        )
    _derive(_inner(optimizer), clipping=(float(clipping), exclude, units))
    return optimizer


class Rules(NamedTuple):
    """How variables are treated.

    Attributes:
        multipliers: Patterns of variable paths, with factors of the learning rate.
        clipping: Largest ratio of norms, patterns of variables not clipped, unit axes by path.
        spared: Paths of the variables without weight decay.
    """

    multipliers: tuple[tuple[str, float], ...] | None = None
    clipping: tuple[float, tuple[str, ...], tuple[tuple[str, tuple[int, ...]], ...]] | None = None
    spared: frozenset[str] = frozenset()


class _Treatment(NamedTuple):
    """How the rules apply to one variable; `axes` is None if it is not clipped."""

    factor: float
    clipped: bool
    axes: tuple[int, ...] | None


@keras.saving.register_keras_serializable(PACKAGE, NAME)
class ByVariable:
    """Mixin before a Keras optimizer's class that makes its updates depend on the variable.

    `_class_of` derives a class from both. Weight decay is applied together with the update
    of each variable, where its learning rate is known; Keras's own decay uses one rate for
    all. A configuration has the optimizer's own keys, `rules`, and `derived_from`, which
    is the optimizer's class.
    """

    rules = Rules()
    treatments: tuple[_Treatment, ...] | None = None

    @property
    def rate_multipliers(self) -> dict[str, float]:
        """Factor of each pattern."""
        return dict(self.rules.multipliers or ())

    def build(self, variables: Sequence[Any]) -> None:
        """Determines how the rules apply to each variable, and creates the slots."""
        self.treatments = _treatments(self.rules, variables)
        super().build(variables)  # type: ignore[misc]

    def _apply_weight_decay(self, variables: Any) -> None:
        """Does nothing; `update_step` applies the decay."""

    def update_step(self, gradient: Tensor, variable: KerasVariable, learning_rate: Any) -> None:
        """Clips the gradient, decays the weight, and takes the step at the variable's own rate."""
        assert self.treatments is not None
        index = self._get_variable_index(variable)  # type: ignore[attr-defined]
        treatment = self.treatments[index]
        if treatment.factor == 0.0:
            return
        if treatment.clipped:
            assert self.rules.clipping is not None
            gradient = adaptive_clip(
                gradient, variable, self.rules.clipping[0], axes=treatment.axes
            )
        if treatment.factor != 1.0:
            learning_rate = learning_rate * treatment.factor
        decay = self._decay_of(index)
        if decay:
            ops, dtype = keras.ops, variable.dtype
            pulled = variable * ops.cast(decay, dtype) * ops.cast(learning_rate, dtype)
            self.assign_sub(variable, pulled)  # type: ignore[attr-defined]
        super().update_step(gradient, variable, learning_rate)  # type: ignore[misc]

    def _decay_of(self, index: int) -> float | None:
        """Returns the weight decay of a variable; None if it has none."""
        # inside a strategy's update there is a device's part of the variable, without a path
        variable = self._trainable_variables[index]  # type: ignore[attr-defined]
        if _path(variable) in self.rules.spared or not self._use_weight_decay(variable):  # type: ignore[attr-defined]
            return None
        if isinstance(self, keras.optimizers.Muon) and self._should_use_adamw(variable):
            decay: float | None = self.adam_weight_decay
        else:
            decay = self.weight_decay  # type: ignore[attr-defined]
        return decay

    def get_config(self) -> dict[str, Any]:
        """Returns the optimizer's own configuration, its class and the rules."""
        base = type(self).__mro__[2]
        native = base.__module__.split(".")[0] == "keras"
        pattern = getattr(self, "_exclude_from_weight_decay_pattern", None)
        spared = set(self.rules.spared)
        if self.built:  # type: ignore[attr-defined]
            variables = self._trainable_variables  # type: ignore[attr-defined]
            spared |= {_path(v) for v in variables if not self._use_weight_decay(v)}  # type: ignore[attr-defined]
        rules = {
            "multipliers": None if self.rules.multipliers is None else self.rate_multipliers,
            "clipping": self.rules.clipping and {
                "share": self.rules.clipping[0],
                "exclude": list(self.rules.clipping[1]),
                "units": {path: list(axes) for path, axes in self.rules.clipping[2]},
            },
            "spared_from_decay": sorted(spared),
            "spared_names": pattern.pattern if pattern else None,
        }  # fmt: skip
        return {
            **super().get_config(),  # type: ignore[misc]
            "derived_from": {
                "module": "keras.optimizers" if native else base.__module__,
                "class_name": base.__name__,
                "registered_name": None if native else keras.saving.get_registered_name(base),
            },
            "rules": rules,
        }

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: Mapping[str, Any] | None = None
    ) -> Any:
        """Creates the optimizer from a configuration."""
        own = dict(config)
        rules, made_of = own.pop("rules"), own.pop("derived_from")
        optimizer = keras.saving.deserialize_keras_object(
            {**made_of, "config": own}, custom_objects=custom_objects
        )
        if rules["spared_names"]:
            optimizer.exclude_from_weight_decay(var_names=[rules["spared_names"]])
        multipliers, clipping = rules["multipliers"], rules["clipping"]
        _derive(
            optimizer,
            multipliers=None if multipliers is None else tuple(multipliers.items()),
            clipping=clipping and (
                clipping["share"],
                tuple(clipping["exclude"]),
                tuple((path, tuple(axes)) for path, axes in clipping["units"].items()),
            ),
            spared=frozenset(rules["spared_from_decay"]),
        )  # fmt: skip
        return optimizer


_CLASSES: dict[type, type] = {}


def _class_of(base: type) -> type:
    """The class derived from `ByVariable` and a Keras optimizer's class, created once for each."""
    if base not in _CLASSES:
        made = type(f"{base.__name__}ByVariable", (ByVariable, base), {"__module__": __name__})
        _CLASSES[base] = keras.saving.register_keras_serializable(PACKAGE, NAME)(made)
    return _CLASSES[base]


def _inner(optimizer: KerasOptimizer) -> KerasOptimizer:
    """Returns the optimizer that takes the steps."""
    return getattr(optimizer, "inner_optimizer", optimizer)  # of a LossScaleOptimizer


def _derive(optimizer: KerasOptimizer, **rules: Any) -> None:
    """Adds rules to an optimizer; an optimizer that is rejected is left unchanged."""
    derived = isinstance(optimizer, ByVariable)
    if not derived:
        _check_kind(optimizer)
    wanted = (optimizer.rules if derived else Rules())._replace(**rules)
    treatments = _treatments(wanted, optimizer._trainable_variables) if optimizer.built else None
    if not derived:
        optimizer.__class__ = _class_of(type(optimizer))
    optimizer.rules, optimizer.treatments = wanted, treatments


def _treatments(rules: Rules, variables: Iterable[Any]) -> tuple[_Treatment, ...]:
    """Returns how the rules apply to each variable.

    Raises:
        ValueError: if a pattern of the multipliers matches no variable.
    """
    paths = [_path(v) for v in variables]
    if not paths:
        return ()  # Keras builds the optimizer of a loaded HDF5 file for no variable at all
    factors = [1.0] * len(paths)
    for pattern, factor in rules.multipliers or ():
        compiled = re.compile(pattern)
        matching = [index for index, path in enumerate(paths) if compiled.search(path)]
        if not matching:
            raise ValueError(
                f"rate multipliers: {pattern!r} matches no variable that this optimizer "
                f"trains. {did_you_mean(pattern.strip('^$'), paths)}"
            )
        for index in matching:
            factors[index] *= factor
    if rules.clipping is None:
        return tuple(_Treatment(factor, False, None) for factor in factors)
    _, exclude, units = rules.clipping
    axes = dict(units)
    return tuple(
        _Treatment(factor, not any(re.search(p, path) for p in exclude), axes.get(path))
        for path, factor in zip(paths, factors, strict=True)
    )


def _check_kind(optimizer: KerasOptimizer) -> None:
    """Rejects optimizers with steps outside of `update_step`, or with their own weight decay."""
    kind = type(optimizer)
    if not isinstance(optimizer, keras.optimizers.Optimizer):
        raise ValueError(f"{optimizer!r} is not a Keras optimizer")
    if isinstance(optimizer, keras.optimizers.MultiOptimizer):
        raise ValueError(
            "a MultiOptimizer takes its steps in the optimizers that it is made of; give each of "
            "those its own multipliers or clipping"
        )
    decay = kind._apply_weight_decay
    if decay not in (
        keras.optimizers.Optimizer._apply_weight_decay,
        keras.optimizers.Muon._apply_weight_decay,
    ):
        raise ValueError(
            f"{kind.__name__} has a weight decay of its own, which cannot be given a rate for each "
            "variable"
        )


def _check_patterns(patterns: Iterable[str]) -> None:
    for pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"{pattern!r} is not a regular expression: {error}") from None


def _path(variable: KerasVariable) -> str:
    return str(getattr(variable, "path", None) or variable.name)
