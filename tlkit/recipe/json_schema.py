"""The JSON Schema of recipes, with which editors complete and check them."""

from __future__ import annotations

from typing import Any

from tlkit.recipe.schema import Recipe


def recipe_json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a recipe; `name` may be left out of a file."""
    schema = Recipe.model_json_schema()
    schema["required"] = [key for key in schema["required"] if key != "name"]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
