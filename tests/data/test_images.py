import numpy as np
import pytest
import torch
from tests.support.tiny_images import samples, write_cifar10, write_folder, write_mnist

from gradlab.data import folder, images
from gradlab.data.augment import crop_and_flip
from gradlab.data.pixels import fit_pixels


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A folder with a tiny copy of every set."""
    write_mnist(tmp_path)
    write_mnist(tmp_path, "FashionMNIST")
    write_cifar10(tmp_path, monkeypatch)
    write_folder(tmp_path)
    return tmp_path


SMALL = ("model.depth=3", "model.width=8", "train.steps=30", "train.batch_size=16", "train.eval_every=30")


@pytest.mark.parametrize("model", ["mlp", "cnn"])
@pytest.mark.parametrize("data", [
    ("mnist",), ("fashion_mnist",), ("cifar10",), ("cifar10", "data.augment=true"), ("image_folder", "data.size=16"),
    ("image_folder", "data.size=16", "data.memory=0", "data.augment=true"), ("fake_images", "data.samples=64"),
])  # fmt: skip
def test_true_formats_train(run, tiny, data, model):
    name, *options = data
    root = [f"data.root={tiny}"] if name != "fake_images" else []
    done = run(f"model={model}", f"data={name}", *root, *options, *SMALL)
    assert len(done.metrics) == 4
    assert done.metrics.eval_loss.iloc[-1] > 0
    if name in ("mnist", "fashion_mnist") and model == "mlp":
        assert done.metrics.eval_accuracy.iloc[-1] > 0.8


def test_images_and_labels_are_those_of_the_files(tiny):
    for data, shape in (
        (images.mnist(root=str(tiny), standardize=False), (1, 28, 28)),
        (images.cifar10(root=str(tiny), standardize=False), (3, 32, 32)),
    ):
        for part in ("train", "test"):
            pixels, labels = samples(part, shape if shape[0] == 3 else shape[1:])
            inputs = getattr(data, f"{part}_inputs")
            assert torch.allclose(inputs, torch.from_numpy(pixels.reshape(-1, *shape)).float() / 255)
            assert getattr(data, f"{part}_targets").tolist() == labels.tolist()


def test_standardised_channels_have_mean_0_and_variance_1():
    rng = np.random.default_rng(0)
    pixels = torch.from_numpy(rng.integers(0, [[[[9]], [[99]], [[1]]]], (50, 3, 6, 7), dtype=np.uint8))
    y = fit_pixels(pixels, standardize=True, scale=2.0)(pixels)
    assert y.mean((0, 2, 3)).tolist() == pytest.approx([0, 0, 0], abs=1e-5)
    assert y.std((0, 2, 3), correction=0).tolist() == pytest.approx([2, 2, 0], abs=1e-5)


def test_a_streamed_folder_gives_the_batches_of_one_in_memory(tiny):
    options = {"root": str(tiny), "size": 16, "augment": True}
    whole = folder.image_folder(**options).to("cpu", torch.float64)
    for workers in (0, 2):
        streamed = folder.image_folder(**options, memory=0.0, workers=workers).to("cpu", torch.float64)
        assert isinstance(streamed, folder.Streamed)
        assert streamed.input_shape == whole.input_shape == (3, 16, 16)
        batches = [data.batches(batch_size=40, seed=3) for data in (whole, streamed)]
        for step in range(5):  # two batches an epoch
            if step == 2:
                state = batches[1].state_dict()
                next(batches[1])
                batches[1].load_state_dict(state)
            (x, y), (x_streamed, y_streamed) = (next(each) for each in batches)
            assert torch.equal(x, x_streamed)
            assert torch.equal(y, y_streamed)
            assert batches[0].epoch == batches[1].epoch
        tests = [[torch.cat(column) for column in zip(*data.test_batches(), strict=True)] for data in (whole, streamed)]
        assert all(torch.equal(x, y) for x, y in zip(*tests, strict=True))


def test_streaming_leaves_the_global_random_numbers_alone(tiny):
    data = folder.image_folder(root=str(tiny), size=16, memory=0.0, workers=1)
    before = torch.get_rng_state()
    next(data.batches(batch_size=8, seed=0))
    list(data.test_batches())
    images.fake_images(samples=8)
    assert torch.equal(torch.get_rng_state(), before)


def test_fake_images_follow_their_seed():
    first, again, other = (images.fake_images(samples=8, size=6, channels=1, seed=seed) for seed in (0, 0, 1))
    assert first.input_shape == (1, 6, 6)
    assert torch.equal(first.train_inputs, again.train_inputs)
    assert not torch.equal(first.train_inputs, other.train_inputs)
    assert not torch.equal(first.train_inputs[:2], first.test_inputs)


def test_crops_are_windows_of_the_padded_image_and_half_are_mirrored():
    x = torch.arange(1.0, 1 + 400 * 2 * 5 * 6).view(400, 2, 5, 6)
    y = crop_and_flip(x, torch.Generator().manual_seed(0), padding=1)
    padded = torch.nn.functional.pad(x, (1, 1, 1, 1))
    seen = set()
    for image, source in zip(y, padded, strict=True):
        windows = {(i, j): source[:, i : i + 5, j : j + 6] for i in range(3) for j in range(3)}
        either = {(*key, flip): x.flip(2) if flip else x for key, x in windows.items() for flip in (False, True)}
        (place,) = [key for key, window in either.items() if torch.equal(image, window)]
        seen.add(place)
    assert len(seen) == 18
    again = crop_and_flip(x, torch.Generator().manual_seed(0), padding=1)
    assert torch.equal(y, again)


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10"])
def test_missing_files_are_reported_with_folder_and_flag(tmp_path, name):
    with pytest.raises(ValueError, match=rf"are missing in {tmp_path}; .*data.download=true"):
        getattr(images, name)(root=str(tmp_path))


def test_a_failed_download_is_reported_in_one_line(tmp_path, monkeypatch):
    def refuse(*args, **options):
        raise RuntimeError("Error downloading\n  train-images")

    monkeypatch.setattr("torchvision.datasets.MNIST", refuse)
    with pytest.raises(ValueError, match=rf"MNIST could not be downloaded to {tmp_path}: Error downloading train-i"):
        images.mnist(root=str(tmp_path), download=True)


def test_folders_without_images_or_with_other_classes_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"no images in .*/train; put the images in one folder per class"):
        folder.image_folder(root=str(tmp_path))
    write_folder(tmp_path)
    (tmp_path / "test" / "class0").rename(tmp_path / "test" / "another")
    with pytest.raises(ValueError, match="must have the same class folders"):
        folder.image_folder(root=str(tmp_path))
