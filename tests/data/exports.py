"""Files exactly as labelling tools and sites write them, around pictures that are drawn here."""

from __future__ import annotations

import csv
import json
import pathlib

from tests.conftest import draw


def put(path: pathlib.Path, kind: int = 0, seed: int = 0) -> pathlib.Path:
    """A picture of a class."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draw(kind, seed).convert("RGB").save(path)
    return path


def folders(root: pathlib.Path, classes=("cat", "dog"), count=4, start=0) -> pathlib.Path:
    for kind, name in enumerate(classes):
        for number in range(count):
            put(root / name / f"{name}.{number}.jpg", kind, start + 10 * kind + number)
    return root


def roboflow(root: pathlib.Path, several=False) -> pathlib.Path:
    """ "Multi-label classification": the names after the first come with a blank before them."""
    for split, count in (("train", 6), ("valid", 2), ("test", 2)):
        lines = ["filename, cat, dog"]
        for number in range(count):
            name = f"img{number}_jpg.rf.{split}{number:04x}.jpg"
            put(root / split / name, number % 2, hash_of(split) + number)
            row = (1, 1) if several and number == 3 else (1 - number % 2, number % 2)
            lines.append(f"{name}, {row[0]}, {row[1]}")
        (root / split / "_classes.csv").write_text("\n".join(lines) + "\n")
    (root / "README.roboflow.txt").write_text("exported via roboflow.com")
    return root


def hash_of(text: str) -> int:
    return sum(map(ord, text)) * 100


def label_studio(file: pathlib.Path, kind="JSON", several=False, upload=True) -> pathlib.Path:
    """Exports of Label Studio; the pictures lie beside the file, without the prefix of uploads."""
    tasks = []
    for number in range(8):
        name = f"photo {number}.jpg"
        put(file.parent / "images" / name, number % 2, number)
        path = f"/data/upload/3/{number:08x}-photo%20{number}.jpg"
        if not upload:
            path = f"/data/local-files/?d=images/photo%20{number}.jpg"
        choices = ["cat", "dog"] if several and number == 3 else [("cat", "dog")[number % 2]]
        tasks.append((number, path, choices))
    if kind == "JSON":
        told = [
            {"id": n, "annotations": [{"id": n, "completed_by": 1, "result": [
                {"value": {"choices": choices}, "id": f"a{n}", "from_name": "choice",
                 "to_name": "image", "type": "choices", "origin": "manual"}],
                "was_cancelled": False, "ground_truth": False}],
             "file_upload": path.rpartition("/")[2], "drafts": [], "predictions": [],
             "data": {"image": path}, "meta": {}, "project": 3}
            for n, path, choices in tasks
        ]  # fmt: skip
        file.write_text(json.dumps(told))
    elif kind == "JSON-MIN":
        told = [
            {"image": path, "id": n, "choice": choices[0] if len(choices) == 1 else {"choices": choices},
             "annotator": 1, "annotation_id": n, "created_at": "2024-03-01T10:00:00.1Z",
             "updated_at": "2024-03-01T10:00:00.1Z", "lead_time": 2.5}
            for n, path, choices in tasks
        ]  # fmt: skip
        file.write_text(json.dumps(told))
    else:
        with open(file, "w", newline="") as stream:
            writer = csv.writer(stream, delimiter="\t" if kind == "TSV" else ",")
            writer.writerow(["annotation_id", "annotator", "choice", "created_at", "id", "image",
                             "lead_time", "updated_at"])  # fmt: skip
            for n, path, choices in tasks:
                choice = choices[0] if len(choices) == 1 else json.dumps({"choices": choices})
                writer.writerow([n, 1, choice, "2024-03-01", n, path, 2.5, "2024-03-01"])
    return file


def cvat(root: pathlib.Path, boxes=False, several=False) -> pathlib.Path:
    images = []
    for number in range(8):
        put(root / "images" / f"{number}.jpg", number % 2, number)
        label = ("cat", "dog")[number % 2]
        inside = f'<tag label="{label}" source="manual">\n    </tag>'
        if boxes:
            inside = (
                f'<box label="{label}" source="manual" occluded="0" xtl="1.0" ytl="1.0" xbr="9.0" '
                'ybr="9.0" z_order="0">\n    </box>'
            )
        if several and number == 3:
            inside += '<tag label="cat" source="manual"></tag>'
        images.append(
            f'  <image id="{number}" name="{number}.jpg" width="40" height="40">\n    {inside}\n  </image>'
        )
    (root / "annotations.xml").write_text(
        '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n'
        "  <meta><job><id>1</id><labels><label><name>cat</name></label></labels></job></meta>\n"
        + "\n".join(images)
        + "\n</annotations>\n"
    )
    return root


def coco(root: pathlib.Path, layout="roboflow", several=False) -> pathlib.Path:
    for split, count in (("train", 6), ("val", 2)):
        folder = {"roboflow": "valid" if split == "val" else split, "official": f"{split}2017"}[
            layout
        ]
        images, annotations = [], []
        for number in range(count):
            name = f"{number:012d}.jpg"
            put(root / folder / name, number % 2, hash_of(split) + number)
            images.append(
                {"id": number, "license": 1, "file_name": name, "height": 40, "width": 40}
            )
            categories = [1, 2] if several and number == 3 else [1 + number % 2]
            for category in categories * 2:  # two objects of one category
                annotations.append({"id": len(annotations), "image_id": number, "category_id": category,
                                    "bbox": [1, 1, 9, 9], "area": 81, "segmentation": [],
                                    "iscrowd": 0})  # fmt: skip
        told = {
            "info": {"year": "2024", "version": "1"},
            "licenses": [{"id": 1, "name": "CC BY 4.0"}],
            "categories": [{"id": 0, "name": "animals", "supercategory": "none"},
                           {"id": 1, "name": "cat", "supercategory": "animals"},
                           {"id": 2, "name": "dog", "supercategory": "animals"}],
            "images": images,
            "annotations": annotations,
        }  # fmt: skip
        file = root / folder / "_annotations.coco.json"
        if layout == "official":
            file = root / "annotations" / f"instances_{split}2017.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(told))
    return root


def voc(root: pathlib.Path, lists=False, several=False) -> pathlib.Path:
    names = [f"2008_{number:06d}" for number in range(8)]
    split = {name: "val" if number >= 6 else "train" for number, name in enumerate(names)}
    main = root / "ImageSets" / "Main"
    main.mkdir(parents=True)
    for number, name in enumerate(names):
        put(root / "JPEGImages" / f"{name}.jpg", number % 2, number)
        shown = ["cat", "dog"] if several and number == 3 else [("cat", "dog")[number % 2]]
        objects = "".join(
            f"\t<object>\n\t\t<name>{label}</name>\n\t\t<pose>Left</pose>\n\t\t<difficult>0</difficult>\n"
            "\t\t<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>\n\t</object>\n"
            for label in shown
        )
        (root / "Annotations").mkdir(exist_ok=True)
        (root / "Annotations" / f"{name}.xml").write_text(
            f"<annotation>\n\t<folder>VOC2012</folder>\n\t<filename>{name}.jpg</filename>\n"
            f"\t<size><width>40</width><height>40</height><depth>3</depth></size>\n{objects}</annotation>\n"
        )
    for part in ("train", "val"):
        chosen = [name for name in names if split[name] == part]
        (main / f"{part}.txt").write_text("".join(f"{name}\n" for name in chosen))
        if lists:
            for kind, label in enumerate(("cat", "dog")):
                (main / f"{label}_{part}.txt").write_text(
                    "".join(f"{n} {' 1' if names.index(n) % 2 == kind else '-1'}\n" for n in chosen)
                )
    (main / "trainval.txt").write_text("".join(f"{name}\n" for name in names))
    return root


def vertex(root: pathlib.Path, kind="csv") -> pathlib.Path:
    rows = []
    for number in range(8):
        label = ("cat", "dog")[number % 2]
        put(root / label / f"{number}.jpg", number % 2, number)
        use = (
            "training",
            "training",
            "validation",
            "validation",
            "test",
            "test",
            "UNASSIGNED",
            "UNASSIGNED",
        )[number]
        rows.append((use, f"gs://my-bucket/pets/{label}/{number}.jpg", label))
    if kind == "csv":
        (root / "import.csv").write_text("".join(",".join(row) + "\n" for row in rows))
        return root / "import.csv"
    (root / "import.jsonl").write_text(
        "".join(
            json.dumps({"imageGcsUri": path, "classificationAnnotation": {"displayName": label},
                        "dataItemResourceLabels": {"aiplatform.googleapis.com/ml_use": use.lower()}})
            + "\n"
            for use, path, label in rows
        )
    )  # fmt: skip
    return root / "import.jsonl"


def imagefolder(root: pathlib.Path, kind="csv", place="split", column="label") -> pathlib.Path:
    for split, count in (("train", 6), ("test", 2)):
        rows = []
        for number in range(count):
            name = f"{number:04d}.png"
            put(root / split / name, number % 2, hash_of(split) + number)
            rows.append({"file_name": name if place == "split" else f"{split}/{name}",
                         column: ("cat", "dog")[number % 2]})  # fmt: skip
        file = (root / split if place == "split" else root) / f"metadata.{kind}"
        with open(file, "a", newline="") as stream:
            if kind == "csv":
                if stream.tell() == 0:
                    stream.write(",".join(rows[0]) + "\n")
                stream.writelines(",".join(row.values()) + "\n" for row in rows)
            else:
                stream.writelines(json.dumps(row) + "\n" for row in rows)
    return root


def edge_impulse(root: pathlib.Path, info=True) -> pathlib.Path:
    files = []
    for category, count in (("training", 6), ("testing", 2)):
        for number in range(count):
            label = ("cat", "dog")[number % 2]
            path = f"{category}/{label}.{hash_of(category) + number:08x}.jpg"
            put(root / path, number % 2, hash_of(category) + number)
            files.append({"path": path, "name": path.split("/")[1].removesuffix(".jpg"),
                          "category": category, "label": {"type": "label", "label": label}})  # fmt: skip
    if info:
        (root / "info.labels").write_text(json.dumps({"version": 1, "files": files}))
    return root


def kaggle(root: pathlib.Path, suffix="", shards=False) -> pathlib.Path:
    """A competition: train.csv, sample_submission.csv, images in train/ and test/."""
    rows = []
    for number in range(8):
        name = f"{number:06x}"
        folder = f"images_part_{1 + number // 4}" if shards else "train"
        put(root / folder / f"{name}.jpg", number % 2, number)
        rows.append((name, ("boxer", "beagle")[number % 2]))
    for number in range(4):
        put(root / "test" / f"{number + 100:06x}.jpg", 0, 100 + number)
    listed = "labels.csv" if shards else "train.csv"
    (root / listed).write_text(
        "id,height,breed\n" + "".join(f"{name}{suffix},40.5,{label}\n" for name, label in rows)
    )
    (root / "sample_submission.csv").write_text(
        "id,breed\n"
        + "".join(f"{n + 100:06x}{suffix},{('boxer', 'beagle')[n % 2]}\n" for n in range(4))
    )
    return root


def tiny_imagenet(root: pathlib.Path) -> pathlib.Path:
    """As tiny-imagenet-200.zip has it, but for the number of classes and images."""
    ids = ("n01443537", "n01629819")
    for kind, name in enumerate(ids):
        for number in range(3):
            put(root / "train" / name / "images" / f"{name}_{number}.JPEG", kind, number)
        boxes = "".join(f"{name}_{number}.JPEG\t0\t10\t63\t58\n" for number in range(3))
        (root / "train" / name / f"{name}_boxes.txt").write_text(boxes)
    lines = []
    for number in range(2):
        put(root / "val" / "images" / f"val_{number}.JPEG", number, 10 + number)
        put(root / "test" / "images" / f"test_{number}.JPEG", number, 20 + number)
        lines.append(f"val_{number}.JPEG\t{ids[number]}\t0\t32\t44\t62\n")
    (root / "val" / "val_annotations.txt").write_text("".join(lines))
    (root / "wnids.txt").write_text("".join(f"{name}\n" for name in ids))
    words = ("n00001740\tentity", "n01443537\tgoldfish, Carassius auratus",
             "n01629819\tEuropean fire salamander, Salamandra salamandra")  # fmt: skip
    (root / "words.txt").write_text("".join(f"{line}\n" for line in words))
    return root


def datumaro(root: pathlib.Path, boxes=False) -> pathlib.Path:
    """`datum project export -f datumaro -- --save-media`."""
    for subset, count in (("train", 6), ("val", 2)):
        items = []
        for number in range(count):
            name = f"{number:04d}"
            put(root / "images" / subset / f"{name}.jpg", number % 2, hash_of(subset) + number)
            annotation = {
                "id": 0,
                "type": "label",
                "attributes": {},
                "group": 0,
                "label_id": number % 2,
            }
            if boxes:
                annotation |= {"type": "bbox", "bbox": [1.0, 1.0, 9.0, 9.0], "z_order": 0}
            items.append({"id": name, "annotations": [annotation], "attr": {"frame": number},
                          "image": {"path": f"{name}.jpg", "size": [40, 40]}})  # fmt: skip
        told = {
            "dm_format_version": "1.0", "media_type": 2, "infos": {},
            "categories": {"label": {"labels": [{"name": "cat", "parent": "", "attributes": []},
                                                {"name": "dog", "parent": "", "attributes": []}],
                                     "label_groups": [], "attributes": []}},
            "items": items,
        }  # fmt: skip
        file = root / "annotations" / f"{subset}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(told))
    return root
