"""Full fine-tuning, LoRA at several ranks and a linear probe: parameters, speed, memory and validation accuracy.

    python -m tests.benchmarks.lora [RECIPE] [--field value ...] [--ranks 4 8 16]

trains the recipe once in each way, each in a process of its own, as `train_hf.py` does. Memory is the highest of the
whole process, on a GPU that of the GPU. LoRA and the probe have one learning rate for all that they train, full
fine-tuning has the layer decay of the recipe. A few steps of ViT-Base with random weights say what it needs:

    python -m tests.benchmarks.lora quickstart --image_size 224 --drawn_faces 100 --max_steps 4 --total_batch_size 8 \
        --vit_config "{hidden_size: 768, num_attention_heads: 12, intermediate_size: 3072}" --ranks 8
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from pipeline.run_folder import read_json
from pipeline.settings.command_line import parse_command_line

COLUMNS = ("", "trained parameters", "adapter, MB", "pictures a second", "memory, GiB", "validation accuracy")


def ways(ranks: list[int]) -> dict[str, list[str]]:
    """What each row of the table adds to the recipe."""
    lora = {f"LoRA, rank {rank}": ["--lora_rank", str(rank), "--layer_decay", "1"] for rank in ranks}
    return {"full": []} | lora | {"linear probe": ["--freeze", "backbone", "--layer_decay", "1"]}


def row(name: str, words: list[str], run: Path) -> str:
    """Train once and read what the run folder says.

    Raises:
        SystemExit: the run failed.
    """
    command = [sys.executable, "train_hf.py", *words, "--output_dir", str(run)]
    ended = subprocess.run(command, capture_output=True, text=True)
    if ended.returncode:
        raise SystemExit(f"{name}: {ended.stderr.splitlines()[-1]}")
    environment, evaluation = (read_json(run / file) for file in ("environment.json", "evaluation.json"))
    accuracy, memory = evaluation["validation"]["accuracy"], environment["peak_memory_gib"]
    adapter = run / "adapter" / "adapter_model.safetensors"
    cells = (
        name,
        f"{environment['trained_parameters']:,}",
        f"{adapter.stat().st_size / 1e6:.2f}" if adapter.is_file() else "",
        f"{environment['pictures_per_second']:.1f}",
        f"{memory['device'] or memory['resident']:.2f}",
        f"{accuracy['value']:.3f} [{accuracy['low']:.3f}, {accuracy['high']:.3f}], n {evaluation['validation']['n']:,}",
    )
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Train and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0], allow_abbrev=False)
    parser.add_argument("--ranks", type=int, nargs="+", default=[4, 8, 16])
    words, recipe_words = parser.parse_known_args()
    recipe = parse_command_line(recipe_words).recipe
    print(f"{recipe.name}: {recipe.image_size} px, batch {recipe.total_batch_size}, seed {recipe.seed}")
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}")
    with tempfile.TemporaryDirectory() as place:
        for number, (name, more) in enumerate(ways(words.ranks).items()):
            print(row(name, [*recipe_words, *more], Path(place) / str(number)), flush=True)


if __name__ == "__main__":
    main()
