"""`/predict`, for direct use: plain file uploads and a readable answer."""

from __future__ import annotations

import asyncio
import base64
import io
from typing import Any

import numpy as np
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tlkit.serve.bodies import Json
from tlkit.serve.limits import Refusal
from tlkit.serve.service import Service

TOP = 5


def routes(service: Service) -> list[Route]:
    """`/predict`."""
    deployed = service.deployed

    async def predict(request: Request) -> Response:
        top = _number(request, "top", min(TOP, len(deployed.classes)))
        explain = _flag(request, "explain")
        if explain and deployed.explain is None:
            raise Refusal(400, f"{deployed.format} cannot explain; a SavedModel can")
        files = await _files(request, service.limits.queue)
        answered = await service.answer([data for _, data in files])
        answers = []
        for (name, _), row in zip(files, answered.astype("float64"), strict=True):
            told = deployed.task.describe(row, top)
            if "top" in told:
                told["top"] = [
                    {"label": label, "probability": value} for label, value in told["top"]
                ]
            answers.append({"file": name, **told})
        if explain and deployed.explain is not None:
            heats, images = await service.special(deployed.explain, [data for _, data in files])
            for answer, image, heat in zip(answers, images, heats, strict=True):
                picture = await asyncio.to_thread(_picture, image, heat)
                answer["explanation"] = f"data:image/png;base64,{picture}"
        return Json({"model": deployed.name, "predictions": answers})

    return [Route("/predict", predict, methods=["POST"])]


async def _files(request: Request, most: int) -> list[tuple[str, bytes]]:
    """Names and contents of a form's files, or of the body as a single file."""
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind != "multipart/form-data":  # curl --data-binary sends a wrong content type
        return [("", await request.body())]
    async with request.form(max_files=most, max_fields=most) as form:
        found = [
            (value.filename or "", await value.read())
            for _, value in form.multi_items()
            if isinstance(value, UploadFile)
        ]
    if not found:
        raise Refusal(400, "the form holds no file")
    return found


def _number(request: Request, name: str, otherwise: int) -> int:
    text = request.query_params.get(name)
    if text is None:
        return otherwise
    if not (text.isascii() and text.isdigit() and len(text) < 6 and int(text) > 0):
        raise Refusal(400, f"{name}={text[:50]!r}: expected a whole number above 0")
    return int(text)


def _flag(request: Request, name: str) -> bool:
    text = request.query_params.get(name, "false")
    if text not in ("true", "false"):
        raise Refusal(400, f"{name}={text[:50]!r}: expected true or false")
    return text == "true"


def _picture(image: np.ndarray, heat: Any) -> str:
    """The network's input with the heat map over it, as a PNG in base64."""
    from PIL import Image

    from tlkit.evaluate.grad_cam import overlay

    buffer = io.BytesIO()
    Image.fromarray(overlay(image, np.asarray(heat))).save(buffer, "png")
    return base64.b64encode(buffer.getvalue()).decode("ascii")
