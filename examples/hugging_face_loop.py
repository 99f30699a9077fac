"""motet in Hugging Face's `Trainer`: a subclass whose `training_step` calls `motet.backward`.

    torchrun --nproc-per-node 2 examples/hugging_face_loop.py

A small, randomly initialised BERT reads sentences of made-up words and learns two tasks: their
topic and how many words of a kind they contain. The gradients are balanced by UPGrad once per step,
however many micro-batches it has; clipping, mixed precision, logging and checkpoints are handled by
the `Trainer`, and so are several processes; one without torchrun. Prints the evaluation before and
after training. Needs `pip install 'motet[loops]'`.
"""

import os
import tempfile
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional
from torch.utils.data import Dataset
from transformers import BertConfig, BertModel, BertPreTrainedModel, Trainer, TrainingArguments

import motet


class MultiTaskTrainer(Trainer):
    """A `Trainer` for models that return ``losses`` by task and have an ``encoder``."""

    def __init__(self, *arguments: Any, balancer: motet.balancing.Balancer, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.balancer = balancer
        self.waiting: motet.balancing.BackwardResult | None = None  # gradients of micro-batches

    def training_step(
        self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: Any = None
    ) -> Tensor:
        """Add up the gradients of micro-batches; balance at the last of them."""
        model.train()
        with self.compute_loss_context_manager():
            # not the model around it, in which DistributedDataParallel would average, too
            losses = self.model(**self._prepare_inputs(inputs))["losses"]
        micro_batches = self.current_gradient_accumulation_steps
        losses = {task: loss / micro_batches for task, loss in losses.items()}
        solve = self.accelerator.sync_gradients  # the last of them
        result = motet.backward(
            losses,
            self.balancer,
            shared=self.model.encoder,
            task_parameters={"topic": self.model.topic, "count": self.model.count},
            process_group=distributed.group.WORLD if self.args.world_size > 1 else None,
            scaler=self.accelerator.scaler,
            solve=solve,
            previous=self.waiting,
        )
        self.waiting = None if solve else result
        return sum(losses.values()).detach()


class Reader(BertPreTrainedModel):
    """BERT with a head for each task."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config)
        self.encoder = BertModel(config, add_pooling_layer=False)
        self.topic = nn.Linear(config.hidden_size, 3)
        self.count = nn.Linear(config.hidden_size, 1)
        self.post_init()

    def forward(self, input_ids: Tensor, topic: Tensor, count: Tensor) -> dict[str, Any]:
        """Predict topic (B, 3) and count (B,), with a loss for each."""
        features = self.encoder(input_ids).last_hidden_state.mean(dim=1)
        topics, counts = self.topic(features), self.count(features)[:, 0]
        losses = {
            "topic": functional.cross_entropy(topics, topic),
            "count": functional.mse_loss(counts, count),
        }
        return {"loss": sum(losses.values()), "losses": losses, "topic": topics, "count": counts}


class Sentences(Dataset[dict[str, Tensor]]):
    """Draw sentences of 12 words out of 60; the topic's own 20 words are twice as frequent."""

    def __init__(self, rows: int, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.topic = torch.randint(3, (rows,), generator=generator)
        chances = torch.ones(rows, 3, 20)
        chances[torch.arange(rows), self.topic] = 3.0
        self.words = torch.multinomial(chances.flatten(1), 12, True, generator=generator)
        self.count = (self.words % 4 == 0).float().sum(dim=1) / 12

    def __len__(self) -> int:
        return len(self.words)

    def __getitem__(self, row: int) -> dict[str, Tensor]:
        return {
            "input_ids": self.words[row],
            "topic": self.topic[row],
            "count": self.count[row],
        }


def metrics_of_both(predictions: Any) -> dict[str, float]:
    """Compute the metrics of both tasks."""
    (topics, counts), (topic, count) = predictions
    residual = ((counts - count) ** 2).sum() / ((count - count.mean()) ** 2).sum()
    return {"accuracy": float((topics.argmax(1) == topic).mean()), "r2": float(1 - residual)}


def main() -> None:
    """Train, and evaluate before and after."""
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=60,
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
    )
    with tempfile.TemporaryDirectory() as folder:
        trainer = MultiTaskTrainer(
            model=Reader(config),
            balancer=motet.balancing.create("upgrad", tasks=["topic", "count"]),
            args=TrainingArguments(
                output_dir=folder,
                num_train_epochs=5,
                per_device_train_batch_size=32 // int(os.environ.get("WORLD_SIZE", "1")),
                gradient_accumulation_steps=2,
                learning_rate=5e-3,
                label_names=["topic", "count"],
                use_cpu=True,
                report_to="none",
                disable_tqdm=True,
                save_strategy="no",
                logging_strategy="no",
            ),
            train_dataset=Sentences(2000, seed=0),
            eval_dataset=Sentences(500, seed=1),
            compute_metrics=metrics_of_both,
        )
        before = trainer.evaluate(ignore_keys=["losses"])
        trainer.train()
        after = trainer.evaluate(ignore_keys=["losses"])
    if not trainer.is_world_process_zero():
        return
    for metric in ("accuracy", "r2"):
        print(f"{metric}: {before[f'eval_{metric}']:.3f} -> {after[f'eval_{metric}']:.3f}")


if __name__ == "__main__":
    main()
