"""Tiny copies of published image sets, in the formats in which they are published."""

import hashlib
import pickle
import struct

import numpy as np
from PIL import Image
from torchvision import datasets

SIZES = {"train": 96, "test": 32}


def samples(part, shape):
    """Bytes and labels: a random picture for each class, the same in both parts, under noise."""
    pictures = np.random.default_rng(0).integers(0, 128, (10, *shape))
    labels = np.arange(SIZES[part]) % 10
    noise = np.random.default_rng(len(part)).integers(0, 128, (SIZES[part], *shape))
    return (pictures[labels] + noise).astype(np.uint8), labels


def write_mnist(root, name="MNIST"):
    """IDX files: a magic number, the sizes as big-endian int32, the bytes."""
    raw = root / name / "raw"
    raw.mkdir(parents=True)
    for part, prefix in (("train", "train"), ("test", "t10k")):
        images, labels = samples(part, (28, 28))
        header = struct.pack(">iiii", 2051, len(images), 28, 28)
        (raw / f"{prefix}-images-idx3-ubyte").write_bytes(header + images.tobytes())
        header = struct.pack(">ii", 2049, len(labels))
        (raw / f"{prefix}-labels-idx1-ubyte").write_bytes(header + labels.astype(np.uint8).tobytes())


def write_cifar10(root, monkeypatch):
    """Pickled dictionaries of channels-first rows; torchvision is patched to expect their checksums."""
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)

    def write(name, content):
        data = pickle.dumps(content)
        (folder / name).write_bytes(data)
        return [name, hashlib.md5(data).hexdigest()]

    images, labels = samples("train", (3, 32, 32))
    rows = images.reshape(len(images), -1)
    parts = np.array_split(np.arange(len(rows)), 5)
    train = [
        write(f"data_batch_{i}", {"data": rows[part], "labels": labels[part].tolist()})
        for i, part in enumerate(parts, start=1)
    ]
    images, labels = samples("test", (3, 32, 32))
    test = [write("test_batch", {"data": images.reshape(len(images), -1), "labels": labels.tolist()})]
    name, checksum = write("batches.meta", {"label_names": [str(i) for i in range(10)]})
    monkeypatch.setattr(datasets.CIFAR10, "train_list", train)
    monkeypatch.setattr(datasets.CIFAR10, "test_list", test)
    monkeypatch.setattr(datasets.CIFAR10, "meta", {**datasets.CIFAR10.meta, "filename": name, "md5": checksum})


def write_folder(root, *, classes=3):
    for part, count in SIZES.items():
        images, _ = samples(part, (20, 30, 3))
        for i in range(count):
            folder = root / part / f"class{i % classes}"
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(images[i]).save(folder / f"{i}.png")
