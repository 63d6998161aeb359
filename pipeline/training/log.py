"""TensorBoard events of a run, and the clock of its training loop.

The events are published with the run, so they hold no host name, user name or path.
"""

import io
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import torch
from PIL import Image
from tensorboard.compat.proto.event_pb2 import Event, SourceMetadata
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter
from transformers import EvalPrediction, TrainerCallback

from pipeline.evaluation.figures import to_array
from pipeline.evaluation.tasks import EVALUATIONS
from pipeline.task import DEFAULT

# What Trainer adds to the metrics of an evaluation.
OF_THE_CLOCK = ("epoch", "eval_runtime", "eval_samples_per_second", "eval_steps_per_second")


class EventFile:
    """A TensorBoard event file without the name of the machine, which TensorBoard's own writer puts into the name."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = (folder / f"events.out.tfevents.{time.time_ns()}").open("xb")
        self._records = RecordWriter(self._file)
        self._write(file_version="brain.Event:2", source_metadata=SourceMetadata(writer="training_log"))

    def scalar(self, tag: str, value: float, step: int) -> None:
        """One number at a step."""
        self._write(step=step, summary=Summary(value=[Summary.Value(tag=tag, simple_value=value)]))

    def image(self, tag: str, pixels: np.ndarray, step: int) -> None:
        """One picture `(H, W, 3) uint8` at a step."""
        encoded = io.BytesIO()
        Image.fromarray(pixels).save(encoded, "PNG")
        height, width, _ = pixels.shape
        picture = Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=encoded.getvalue())
        self._write(step=step, summary=Summary(value=[Summary.Value(tag=tag, image=picture)]))

    def summary(self, summary: Summary, step: int) -> None:
        """A summary that a plugin of TensorBoard made."""
        self._write(step=step, summary=summary)

    def close(self) -> None:
        """Finish the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write(self, **fields: Any) -> None:
        self._records.write(Event(wall_time=time.time(), **fields).SerializeToString())
        self._file.flush()


class TrainingLog(TrainerCallback):
    """Writes what Trainer logs into `folder`, with throughput, the metrics of the task and a figure of each evaluation.

    It also counts rows trained, seconds of the loop (without evaluation and saving) and seconds of waiting for data.
    Without a `folder` it only counts.
    """

    def __init__(self, folder: Path | None, names: list[str], task: str = DEFAULT) -> None:
        self.names, self.folder, self.task = names, folder, EVALUATIONS[task]
        self.events: EventFile | None = None
        self.train_seconds, self.wait_seconds = 0.0, 0.0
        self._rows: int | torch.Tensor = 0
        self._evaluated: tuple[np.ndarray, np.ndarray] | None = None
        self._mark = time.perf_counter()
        self._logged_rows, self._logged_seconds = 0, 0.0

    def compute_metrics(self, prediction: EvalPrediction) -> dict[str, float]:
        """Metrics of an evaluation in training, from outputs and targets `(N, K)`."""
        self._evaluated = np.asarray(prediction.predictions), np.asarray(prediction.label_ids)
        return self.task.logged(*self._evaluated, self.names)

    def count_rows(self, rows: int | torch.Tensor) -> None:
        """Count the rows of a step, over all processes. A tensor stays on its device: reading it would wait for it."""
        self._rows = self._rows + rows

    @property
    def rows(self) -> int:
        """Rows trained since this process started, each as often as it was drawn."""
        return int(self._rows)

    def speed(self) -> dict[str, float]:
        """Speed as `environment.json` records it."""
        return {
            "rows_trained": self.rows,
            "train_seconds": round(self.train_seconds, 1),
            "pictures_per_second": round(self.pictures_per_second, 1),
            "data_wait_share": round(self.data_wait_share, 4),
        }

    @property
    def pictures_per_second(self) -> float:
        """Rows trained per second since this process started, without evaluation and saving."""
        return self.rows / max(self.train_seconds, 1e-9)

    @property
    def data_wait_share(self) -> float:
        """Share of the training loop spent waiting for the next batch."""
        return self.wait_seconds / max(self.train_seconds, 1e-9)

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.is_world_process_zero and self.folder:
            self.events = EventFile(self.folder)
        self._mark = time.perf_counter()

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        waited = self._lap()
        self.wait_seconds += waited
        self.train_seconds += waited

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.train_seconds += self._lap()

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._mark = time.perf_counter()

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._mark = time.perf_counter()

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        logs: dict[str, float] = kwargs["logs"]
        if self.events and "loss" in logs:
            for name in ("loss", "learning_rate", "grad_norm"):
                self.events.scalar(f"train/{name}", float(logs[name]), state.global_step)
            rows, seconds = self.rows - self._logged_rows, max(self.train_seconds - self._logged_seconds, 1e-9)
            self.events.scalar("train/pictures_per_second", rows / seconds, state.global_step)
            self._logged_rows, self._logged_seconds = self.rows, self.train_seconds
        self._mark = time.perf_counter()

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        metrics: dict[str, float] = kwargs["metrics"]
        if self.events:
            for name, value in metrics.items():
                if isinstance(value, int | float) and name not in OF_THE_CLOCK:
                    tag = name.removeprefix("eval_").replace("recall_", "recall/")
                    self.events.scalar(f"validation/{tag}", float(value), state.global_step)
            if self._evaluated is not None:
                figure = self.task.figure(*self._evaluated, self.names, f"validation, step {state.global_step}")
                self.events.image(f"validation/{self.task.FIGURE}", to_array(figure), state.global_step)
        self._mark = time.perf_counter()

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.events:
            self.events.close()
            self.events = None

    def _lap(self) -> float:
        now = time.perf_counter()
        seconds, self._mark = now - self._mark, now
        return seconds
