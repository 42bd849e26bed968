"""What both client examples send and show: one sample, and its explanation as text or as a picture."""

from __future__ import annotations

import argparse

import numpy as np

SHADES = " .:-=+*#%@"


def client_arguments(description, *, address):
    """Returns the command line of a client; `address` is the flag and the default of the server's."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(address[0], default=address[1], help="default: %(default)s")
    parser.add_argument("--model", default="digits", help="default: %(default)s")
    parser.add_argument("--version", type=int, help="default: the newest")
    parser.add_argument("--signature", default="serving_default", help="default: %(default)s")
    parser.add_argument(
        "--target",
        type=int,
        default=-1,
        help="class to explain; -1 for the predicted one (default)",
    )
    parser.add_argument("--index", type=int, default=0, help="position of the sample (default: 0)")
    parser.add_argument("--data", metavar="FILE.npz", help="array x_test, in place of the digits")
    parser.add_argument("--out", metavar="FILE.png", help="where the picture of a map goes")
    return parser.parse_args()


def load_sample(path, index):
    """Returns one sample with a batch axis: a digit of scikit-learn in [0, 1], or one of a file."""
    if path is None:
        from sklearn.datasets import load_digits

        samples = (load_digits().images / 16)[..., None]
    else:
        with np.load(path, allow_pickle=False) as stored:
            if "x_test" not in stored:
                raise SystemExit(f"{path} lacks the array x_test; it holds {', '.join(stored)}.")
            samples = stored["x_test"]
    if not 0 <= index < len(samples):
        raise SystemExit(f"--index must lie in 0 to {len(samples) - 1}. Received: {index}.")
    return samples[index : index + 1]


def request_tensors(inputs, sample, target):
    """Returns a tensor for each input of a signature.

    Args:
        inputs: dtype and shape by name, as the server's metadata has them; open axes are -1.
        sample: What the model's own input gets.
        target: The class that an explanation is asked for.
    """
    own = [name for name in inputs if name != "target" and not name.startswith("baseline")]
    if len(own) != 1:
        raise SystemExit(f"This example sends one input; the signature takes {', '.join(inputs)}.")
    tensors = {}
    for name, (dtype, shape) in inputs.items():
        if name == "target":
            tensors[name] = np.full(len(sample), target, dtype)
        elif name in own:
            tensors[name] = sample.astype(dtype)
        else:  # what an integrated gradient starts from
            tensors[name] = np.zeros((len(sample), *shape[1:]), dtype)
    return tensors


def show(outputs, out=None):
    """Prints a class, or a map of what spoke for one, which is drawn where `out` names a file."""
    if "probabilities" in outputs:
        _show_class(outputs)
    elif "attributions" in outputs:
        _show_map(outputs, out)
    else:
        for name, values in sorted(outputs.items()):
            print(name, np.asarray(values)[0])


def _show_class(outputs):
    probabilities = np.asarray(outputs["probabilities"])[0]
    best = int(probabilities.argmax())
    name = f" ({_text(outputs['top_names'][0][0])})" if "top_names" in outputs else ""
    print(f"class {best}{name}, probability {probabilities[best]:.3f}")


def _show_map(outputs, out):
    attributions = np.asarray(outputs["attributions"])[0]
    target, score = np.ravel(outputs["target"])[0], np.ravel(outputs["scores"])[0]
    print(f"explained class {int(target)}, score {score:.3f}")
    image = attributions.sum(-1) if attributions.ndim == 3 else attributions
    if image.ndim != 2:
        print(f"attributions of shape {attributions.shape}, which is no picture")
    elif out is None:
        for row in image / max(image.max(), np.finfo(image.dtype).tiny):
            print("".join(2 * SHADES[int(value * (len(SHADES) - 1))] for value in row.clip(0, 1)))
    else:
        import matplotlib.pyplot as plt

        limit = abs(image).max() or 1.0
        plt.imsave(out, image.repeat(16, 0).repeat(16, 1), cmap="RdBu_r", vmin=-limit, vmax=limit)
        print(f"wrote {out}")


def _text(value):
    return value.decode() if isinstance(value, bytes) else value
