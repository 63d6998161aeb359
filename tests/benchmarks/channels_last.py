"""Pictures a second of a convolutional network in training on a CPU, by order of memory and precision.

The third row has depthwise convolutions with a stride in fp32.

    python -m tests.benchmarks.channels_last [ARCHITECTURE] [--rows 64] [--size 112] [--steps 5]

Forward, backward and AdamW on noise, without data. `build_for_training` takes the third row.
"""

import argparse
import time

import timm
import torch

from pipeline.training.depthwise import keep_in_fp32

ORDERS = {
    "channels first": (torch.contiguous_format, False),
    "channels last": (torch.channels_last, False),
    "channels last, strided depthwise in fp32": (torch.channels_last, True),
}


def pictures_per_second(
    name: str, rows: int, size: int, steps: int, order: torch.memory_format, fp32: bool, bf16: bool
) -> float:
    """Over `steps` steps, after one that is not counted."""
    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=7).train().to(memory_format=order)
    if fp32:
        keep_in_fp32(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    pictures, labels = torch.randn(rows, 3, size, size), torch.randint(0, 7, (rows,))
    began = 0.0
    for step in range(steps + 1):
        if step == 1:
            began = time.perf_counter()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            loss = torch.nn.functional.cross_entropy(model(pictures).float(), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return rows * steps / (time.perf_counter() - began)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("architecture", nargs="?", default="mobilenetv1_100")
    for option, value in {"rows": 64, "size": 112, "steps": 5}.items():
        parser.add_argument(f"--{option}", type=int, default=value)
    words = parser.parse_args()
    print("| order of memory | fp32 | bf16 |\n|---|---|---|")
    for title, (order, fp32) in ORDERS.items():
        settings = (words.architecture, words.rows, words.size, words.steps, order, fp32)
        print(f"| {title} | {' | '.join(f'{pictures_per_second(*settings, bf16):.1f}' for bf16 in (False, True))} |")


if __name__ == "__main__":
    main()
