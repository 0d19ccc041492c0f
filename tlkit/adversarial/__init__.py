"""Adversarial attacks for adversarial training, one file per attack."""

from typing import TYPE_CHECKING

from tlkit.registry import exports

if TYPE_CHECKING:  # what editors complete; the names come from the registry
    from tlkit.adversarial.gradient_methods import fgm as fgm
    from tlkit.adversarial.gradient_methods import fgsm as fgsm
    from tlkit.adversarial.gradient_methods import pgd as pgd

__getattr__, __dir__ = exports(__name__)
