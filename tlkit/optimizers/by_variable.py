"""Optimizers that treat each variable in its own way: a rate of its own, clipping by its weights."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import keras

from tlkit.errors import did_you_mean
from tlkit.optimizers.adaptive_clipping import adaptive_clip
from tlkit.regularizers.units import owners, unit_axes

# what Keras finds the class under in a saved model
PACKAGE, NAME = "tlkit", "OptimizerByVariable"


def with_multipliers(optimizer: Any, multipliers: Mapping[str, float]) -> Any:
    """Scales the learning rate of the variables whose path matches a pattern.

    The update of variable i is the optimizer's own at `learning_rate * m_i`, weight
    decay included; with m = 0 the variable does not move. (For most optimizers that
    is m_i times the update. Ftrl's rate is part of its state, Adafactor's is at most one over
    the root of the step, both as they are without multipliers.) All else is as
    before: `learning_rate` is one number that schedules and callbacks read and set,
    gradients are clipped and accumulated before, slots are saved and restored. The
    factors are part of the optimizer's configuration, so a saved and loaded model
    trains on with them. (Howard and Ruder 2018, "Universal Language Model
    Fine-tuning", section 3.2, discriminative fine-tuning.)

    Args:
        optimizer: A Keras optimizer, before or after it is built; its class becomes one
            that is derived from its own. Of a `LossScaleOptimizer` the inner one's.
        multipliers: Regular expression, searched in `variable.path`, -> factor;
            the factors of all that match are multiplied. Every pattern must match a
            variable that the optimizer is built with: a ValueError says so then.

    Returns:
        The same optimizer.

    Raises:
        ValueError: for a factor that is negative or not finite, a pattern that is no regular
            expression or matches nothing, an optimizer that has multipliers already
            or whose updates cannot be scaled, as `MultiOptimizer`.
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
    optimizer: Any, clipping: float = 0.01, exclude: Iterable[str] = (), model: Any = None
) -> Any:
    """Makes a Keras optimizer clip gradients adaptively, each unit's by its own weights.

    What is clipped is the gradient of an update: after accumulation, loss scaling and
    other clipping, before weight decay. See `adaptive_clip`. It is part of the
    optimizer's configuration, as are multipliers.

    Args:
        optimizer: As for `with_multipliers`.
        clipping: Largest share of a gradient's length in that of its weights; 0.01
            for batches of thousands, up to 0.1 for small ones.
        exclude: Regular expressions on the paths of variables left alone; the
            paper leaves out the last layer.
        model: The built model that is to be trained, whose layers then tell what a unit of
            a kernel is; without it the kernel's shape does, which takes the
            input of transposed convolutions for it.

    Returns:
        The same optimizer.

    Raises:
        ValueError: if `clipping` is not positive, or a pattern is no regular expression.
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
        multipliers: Patterns of paths with factors of the learning rate.
        clipping: The largest share, patterns of those left alone, axes of units by path.
        spared: Paths of variables without weight decay.
    """

    multipliers: tuple[tuple[str, float], ...] | None = None
    clipping: tuple[float, tuple[str, ...], tuple[tuple[str, tuple[int, ...]], ...]] | None = None
    spared: frozenset[str] = frozenset()


class _Treatment(NamedTuple):
    """What the rules mean for one variable; `axes` is None where it is not clipped."""

    factor: float
    clipped: bool
    axes: tuple[int, ...] | None


@keras.saving.register_keras_serializable(PACKAGE, NAME)
class ByVariable:
    """What comes before a Keras optimizer's class to make its updates depend on the variable.

    `_class_of` derives from both. Decay is done with the update of each variable, where
    its rate is known: Keras's own takes one rate for all. A configuration has the
    optimizer's own keys beside `rules` and `derived_from`, the optimizer's class.
    """

    rules = Rules()
    treatments: tuple[_Treatment, ...] | None = None

    @property
    def rate_multipliers(self) -> dict[str, float]:
        """Pattern -> factor."""
        return dict(self.rules.multipliers or ())

    def build(self, variables: Sequence[Any]) -> None:
        """Finds what the rules mean for each variable, and makes the slots."""
        self.treatments = _treatments(self.rules, variables)
        super().build(variables)  # type: ignore[misc]

    def _apply_weight_decay(self, variables: Any) -> None:
        """Done in `update_step`."""

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Clips the gradient, decays the weight and takes the optimizer's step at its own rate."""
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
        """The weight decay of a variable."""
        # inside a strategy's update there is a device's part of the variable, without a path
        variable = self._trainable_variables[index]  # type: ignore[attr-defined]
        if _path(variable) in self.rules.spared or not self._use_weight_decay(variable):  # type: ignore[attr-defined]
            return None
        if isinstance(self, keras.optimizers.Muon) and self._should_use_adamw(variable):
            decay: float | None = self.adam_weight_decay
            return decay
        return self.weight_decay  # type: ignore[attr-defined]

    def get_config(self) -> dict[str, Any]:
        """The optimizer's own configuration, its class and the rules."""
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
        """The optimizer of a configuration."""
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
    """The class that `ByVariable` and a Keras optimizer's make, one for each."""
    if base not in _CLASSES:
        made = type(f"{base.__name__}ByVariable", (ByVariable, base), {"__module__": __name__})
        _CLASSES[base] = keras.saving.register_keras_serializable(PACKAGE, NAME)(made)
    return _CLASSES[base]


def _inner(optimizer: Any) -> Any:
    """The optimizer that takes the steps."""
    return getattr(optimizer, "inner_optimizer", optimizer)  # of a LossScaleOptimizer


def _derive(optimizer: Any, **rules: Any) -> None:
    """Makes an optimizer treat variables by further rules; one that is refused stays as it was."""
    derived = isinstance(optimizer, ByVariable)
    if not derived:
        _check_kind(optimizer)
    wanted = (optimizer.rules if derived else Rules())._replace(**rules)
    treatments = _treatments(wanted, optimizer._trainable_variables) if optimizer.built else None
    if not derived:
        optimizer.__class__ = _class_of(type(optimizer))
    optimizer.rules, optimizer.treatments = wanted, treatments


def _treatments(rules: Rules, variables: Iterable[Any]) -> tuple[_Treatment, ...]:
    """What the rules mean for each variable.

    Raises:
        ValueError: if a pattern of multipliers matches none.
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


def _check_kind(optimizer: Any) -> None:
    """Refuses what takes its steps elsewhere than in `update_step`, or decays in a way of its own."""
    kind = type(optimizer)
    if not isinstance(optimizer, keras.optimizers.Optimizer):
        raise ValueError(f"{optimizer!r} is no Keras optimizer")
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
            raise ValueError(f"{pattern!r} is no regular expression: {error}") from None


def _path(variable: Any) -> str:
    return str(getattr(variable, "path", None) or variable.name)
