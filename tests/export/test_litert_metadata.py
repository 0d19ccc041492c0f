"""Metadata of LiteRT files, read as the format of FlatBuffers says (flatbuffers.dev/internals)."""

import struct

from tlkit.export.litert_metadata import describe


class Table:
    """A table in a buffer; fields by their number in the schema."""

    def __init__(self, data, place):
        self.data, self.place = data, place

    def number(self, form, place):
        return struct.unpack_from("<" + form, self.data, place)[0]

    def where(self, slot):
        entries = self.place - self.number("i", self.place)
        assert 4 + 2 * slot < self.number("H", entries), f"no field {slot}"
        offset = self.number("H", entries + 4 + 2 * slot)
        assert offset, f"no field {slot}"
        return self.place + offset

    def scalar(self, slot, form):
        return self.number(form, self.where(slot))

    def follow(self, slot):
        place = self.where(slot)
        return place + self.number("I", place)

    def table(self, slot):
        return Table(self.data, self.follow(slot))

    def text(self, slot):
        place = self.follow(slot)
        return self.data[place + 4 : place + 4 + self.number("I", place)].decode()

    def only(self, slot):
        place = self.follow(slot)
        assert self.number("I", place) == 1
        return Table(self.data, place + 4 + self.number("I", place + 4))

    def value(self, slot):
        place = self.follow(slot)
        assert self.number("I", place) == 1
        return self.number("f", place + 4)


def check_metadata(data, name, size):
    """Numbers of fields are those of metadata_schema.fbs."""
    assert data[4:8] == b"M001"
    model = Table(data, struct.unpack_from("<I", data)[0])
    assert model.text(0) == name
    graph = model.only(3)
    image, probabilities = graph.only(2), graph.only(3)
    assert (image.text(0), probabilities.text(0)) == ("image", "probabilities")
    content = image.table(3)
    assert content.scalar(0, "B") == 2  # ImageProperties
    assert content.table(1).scalar(0, "B") == 1  # RGB
    extent = content.table(1).table(1)
    assert (extent.scalar(1, "I"), extent.scalar(0, "I")) == size  # height, width
    unit = image.only(4)
    assert unit.scalar(0, "B") == 1  # NormalizationOptions
    assert (unit.table(1).value(0), unit.table(1).value(1)) == (0.0, 1.0)  # mean, deviation
    assert (image.table(5).value(0), image.table(5).value(1)) == (255.0, 0.0)  # most, least
    labels = probabilities.only(6)
    assert (labels.text(0), labels.scalar(2, "B")) == ("labels.txt", 2)  # TENSOR_AXIS_LABELS
    return model


def test_it_says_what_goes_in_and_what_comes_out():
    model = check_metadata(describe("flowers", "Apache-2.0", (160, 224)), "flowers", (160, 224))
    assert model.text(5) == "Apache-2.0"
