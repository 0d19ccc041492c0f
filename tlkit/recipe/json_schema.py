"""JSON Schema of recipes, which editors use for completion and validation."""

from __future__ import annotations

from typing import Any

from tlkit.recipe.schema import Recipe


def recipe_json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a recipe; `name` is optional in a file."""
    schema = Recipe.model_json_schema()
    schema["required"] = [key for key in schema["required"] if key != "name"]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
