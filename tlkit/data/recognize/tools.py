"""All recognised tools, one file each, in the order in which they are tried."""

from __future__ import annotations

from collections.abc import Callable

from tlkit.data.recognize.coco import coco
from tlkit.data.recognize.createml import createml
from tlkit.data.recognize.cvat import cvat
from tlkit.data.recognize.datumaro import datumaro
from tlkit.data.recognize.edge_impulse import edge_impulse
from tlkit.data.recognize.fiftyone import fiftyone
from tlkit.data.recognize.imagefolder import imagefolder
from tlkit.data.recognize.label_studio import label_studio
from tlkit.data.recognize.recognized import RecognizedTool
from tlkit.data.recognize.roboflow import roboflow, roboflow_boxes
from tlkit.data.recognize.table import table
from tlkit.data.recognize.teachable_machine import teachable_machine
from tlkit.data.recognize.tfds import tfds
from tlkit.data.recognize.tfrecord import tfrecord
from tlkit.data.recognize.tiny_imagenet import tiny_imagenet
from tlkit.data.recognize.vertex import vertex
from tlkit.data.recognize.voc import voc
from tlkit.data.recognize.yolo import yolo
from tlkit.data.tree import Tree

# returns what a tool wrote, or None; raises DataError for what tlkit does not train on
Tool = Callable[[Tree], RecognizedTool | None]
TOOLS: tuple[Tool, ...] = (
    tfds,
    tfrecord,
    roboflow,
    roboflow_boxes,
    edge_impulse,
    teachable_machine,
    tiny_imagenet,
    datumaro,
    fiftyone,
    coco,
    cvat,
    voc,
    label_studio,
    createml,
    yolo,
    imagefolder,
    vertex,
    table,
)
# tools whose marker file takes precedence over class folders beside it
SURE: tuple[Tool, ...] = (
    tfds,
    tfrecord,
    roboflow,
    edge_impulse,
    teachable_machine,
    tiny_imagenet,
    datumaro,
    voc,
)
