"""Data of somebody's own: every kind of file gives back what was written into it."""

import gzip
import struct

import numpy as np
import pandas as pd
import PIL.Image
import pytest

from tinygrad_digits.digits.data.sources import SourceError, read_source

IMAGES = np.random.default_rng(0).integers(0, 256, (40, 5, 6), dtype=np.uint8)
LABELS = np.arange(40) % 4
FLAT = IMAGES.reshape(40, 30)


def idx(array):
    kind = {"u1": 8, "i4": 12}[array.dtype.str[1:]]
    head = struct.pack(f">4B{array.ndim}i", 0, 0, kind, array.ndim, *array.shape)
    return head + array.astype(array.dtype.newbyteorder(">")).tobytes()


def write_idx(folder, opened=open, suffix=""):
    for part, chosen in (("train", slice(0, 30)), ("t10k", slice(30, 40))):
        with opened(folder / f"{part}-images-idx3-ubyte{suffix}", "wb") as file:
            file.write(idx(IMAGES[chosen]))
        with opened(folder / f"{part}-labels-idx1-ubyte{suffix}", "wb") as file:
            file.write(idx(LABELS[chosen].astype(np.uint8)))
    return folder


def write_folder(folder):
    for row, (image, label) in enumerate(zip(IMAGES, LABELS, strict=True)):
        (folder / str(label)).mkdir(exist_ok=True)
        PIL.Image.fromarray(image).save(folder / str(label) / f"{row:02}.png")
    return folder


def write_table(folder, suffix, write, **names):
    frame = pd.DataFrame(FLAT, columns=[f"p{i}" for i in range(30)])
    frame.insert(7, "target", LABELS)
    path = folder / f"table{suffix}"
    write(frame.rename(columns=names), path)
    return path


def first(table, name):
    return table[[name, *table.columns.drop(name)]]


def in_words(table):
    return table.assign(kind=[f"c{n}" for n in table.pop("target")])


def write_npz(folder, save, **arrays):
    save(folder / "data.npz", **arrays)
    return folder / "data.npz"


SOURCES = {
    "idx": write_idx,
    "idx.gz": lambda folder: write_idx(folder, gzip.open, ".gz"),
    "pictures": write_folder,
    "npz": lambda folder: write_npz(folder, np.savez, x=IMAGES, y=LABELS),
    "npz compressed": lambda f: write_npz(f, np.savez_compressed, images=IMAGES, labels=LABELS),
    "npz in parts": lambda folder: write_npz(
        folder,
        np.savez,
        x_train=IMAGES[:30],
        y_train=LABELS[:30],
        x_test=IMAGES[30:],
        y_test=LABELS[30:],
    ),
    "npz Fortran": lambda f: write_npz(f, np.savez, x=np.asfortranarray(IMAGES), y=LABELS),
    "csv": lambda folder: write_table(folder, ".csv", lambda t, path: t.to_csv(path, index=False)),
    "csv without names": lambda folder: write_table(
        folder,
        ".csv",
        lambda t, path: t[["target", *t.columns.drop("target")]].to_csv(
            path, index=False, header=False
        ),
    ),
    "tsv": lambda f: write_table(f, ".tsv", lambda t, path: t.to_csv(path, sep="\t", index=False)),
    "words": lambda folder: write_table(
        folder,
        ".csv",
        lambda t, path: t.assign(kind=[f"c{n}" for n in t.pop("target")]).to_csv(path, index=False),
    ),
}


@pytest.fixture(params=SOURCES)
def source(request, tmp_path):
    return read_source(SOURCES[request.param](tmp_path))


def test_what_is_read_is_what_was_written(source):
    order = np.lexsort((*FLAT.T, LABELS))
    found = np.round(source.images[:] * 255).astype(int)
    again = np.lexsort((*found.T, source.labels))
    np.testing.assert_array_equal(found[again], FLAT[order])
    np.testing.assert_array_equal(source.labels[again], LABELS[order])
    assert [name.removeprefix("c") for name in source.classes] == [*"0123"]
    assert int(np.prod(source.shape)) == 30


def test_a_minibatch_is_floats_in_0_to_1_and_the_rest_stays_where_it_is(source):
    chosen = source.dataset(np.array([3, 5, 7]))
    batch = chosen.images[np.array([2, 0])]
    assert batch.dtype == np.float32
    np.testing.assert_array_equal(batch, source.images[np.array([7, 3])])
    assert 0 <= batch.min() <= batch.max() <= 1
    assert chosen.images.stored is source.images.stored


@pytest.mark.parametrize("kind", ["idx", "npz", "npz Fortran", "csv"])
def test_what_is_not_compressed_is_mapped(tmp_path, kind):
    stored = read_source(SOURCES[kind](tmp_path)).images.stored
    mapped = isinstance(stored, np.memmap)
    assert mapped or kind == "idx"  # of two files, one array is made


def test_one_file_of_images_is_enough(tmp_path):
    write_idx(tmp_path)
    source = read_source(tmp_path / "train-images-idx3-ubyte")
    assert len(source.labels) == 30
    assert isinstance(source.images.stored, np.memmap)


@pytest.mark.parametrize("kind", ["idx", "idx.gz", "npz in parts"])
def test_a_test_set_of_the_source_s_own_is_known(tmp_path, kind):
    source = read_source(SOURCES[kind](tmp_path))
    assert source.tested.sum() == 10
    np.testing.assert_array_equal(source.labels[source.tested], LABELS[30:])


def test_classes_stand_in_the_order_of_their_numbers(tmp_path):
    names = ["10", "9", "b", "a"]
    path = write_npz(tmp_path, np.savez, x=IMAGES, y=np.array(names)[LABELS])
    source = read_source(path)
    assert source.classes == ("9", "10", "a", "b")
    assert [source.classes[label] for label in source.labels] == [names[i] for i in LABELS]


@pytest.mark.parametrize(
    ("pixels", "full"),
    [
        (np.uint8(255), 255),
        (np.uint8(16), 16),
        (0.5, 1),
        (16.0, 16),
        (200.0, 255),
        (1e6, 1e6),
        (np.uint16(65535), 65535),
    ],
)
def test_the_scale_is_that_of_the_kind_of_pixels(tmp_path, pixels, full):
    images = np.zeros((40, 4), np.asarray(pixels).dtype)
    images[3, 2] = pixels
    source = read_source(write_npz(tmp_path, np.savez, x=images, y=LABELS))
    np.testing.assert_allclose(source.images[3][2], float(pixels) / full, rtol=1e-6)


def test_pictures_are_scaled_or_read_as_digits(tmp_path):
    for row, (digit, size) in enumerate(
        [(0, (30, 20)), (1, (100, 100)), (0, (25, 25)), (1, (64, 90))]
    ):
        (tmp_path / str(digit)).mkdir(exist_ok=True)
        drawing = np.full(size, 255, np.uint8)
        drawing[5:15, 8:14] = 0
        PIL.Image.fromarray(drawing).save(tmp_path / str(digit) / f"{row}.png")
    assert read_source(tmp_path).shape == (8, 8)
    assert read_source(tmp_path).images[:].max() == 1  # ink
    assert read_source(tmp_path, side=12).shape == (12, 12)


def fails(path, **options):
    with pytest.raises(SourceError) as raised:
        read_source(path, **options)
    assert str(path) in str(raised.value)
    return str(raised.value)


def test_a_path_that_says_nothing_is_refused_with_what_would_be_understood(tmp_path):
    assert "no such file" in fails(tmp_path / "none")
    assert "no pictures" in fails(tmp_path)
    (tmp_path / "notes.txt").write_text("hello")
    assert "IDX" in fails(tmp_path / "notes.txt")


def test_an_archive_without_labels_names_what_it_has(tmp_path):
    assert "which array holds the labels" in fails(
        write_npz(tmp_path, np.savez, x=IMAGES, z=LABELS)
    )
    path = write_npz(tmp_path, np.savez, x=IMAGES, z=LABELS)
    assert len(read_source(path, label="z").labels) == 40
    assert "no array 'w', only x, z" in fails(path, label="w")
    (tmp_path / "data.npz").write_bytes(b"PK\x03\x04 nothing")
    assert "not a whole .npz" in fails(path)


def test_a_table_asks_for_its_label_where_it_cannot_be_told(tmp_path):
    path = write_table(tmp_path, ".csv", lambda t, path: t.to_csv(path, index=False), target="q")
    assert "--label" in fails(path)
    assert read_source(path, label="q").classes == tuple("0123")
    assert "no column 'r'" in fails(path, label="r")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": -IMAGES.astype(float)}, "negative"),
        ({"x": np.full((40, 3), np.nan)}, "NaN"),
        ({"y": LABELS[:7]}, "as many labels"),
        ({"y": np.zeros(40, int)}, "of one class"),
        ({"y": np.arange(40)}, "is that the label"),
        ({"y": np.eye(4)[LABELS]}, "one-hot"),
        ({"x": np.array([[str(n)] for n in range(40)])}, "numbers"),
    ],
)
def test_arrays_that_are_no_labelled_images_are_refused(tmp_path, change, message):
    assert message in fails(write_npz(tmp_path, np.savez, **({"x": IMAGES, "y": LABELS} | change)))


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_idx_files_that_are_cut_off_or_alone_are_refused(tmp_path, suffix):
    opened = gzip.open if suffix else open
    write_idx(tmp_path, opened, suffix)
    images = tmp_path / f"train-images-idx3-ubyte{suffix}"
    with opened(images, "wb") as file:
        file.write(idx(IMAGES)[:-20])
    fails(images)
    (tmp_path / f"train-labels-idx1-ubyte{suffix}").unlink()
    assert "labels" in fails(images)


def test_a_damaged_picture_is_named(tmp_path):
    write_folder(tmp_path)
    (tmp_path / "2" / "02.png").write_bytes(b"nonsense")
    assert "2/02.png" in fails(tmp_path)
