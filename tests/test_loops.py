"""Other people's loops in examples/: accumulation, clipping and precision are those of the loop."""

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import motet
from motet.processes import processes_of
from tests.gloo import in_processes

EXAMPLES = Path(__file__).parent.parent / "examples"


def assert_same_parameters(found, expected, **tolerance):
    for one, other in zip(found.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(one, other, **tolerance)


# Lightning ---------------------------------------------------------------------------------------


@pytest.fixture
def fit(lightning):
    """Trains the example's module; the module, and its gradient norms after clipping."""
    example = runpy.run_path(str(EXAMPLES / "lightning_loop.py"))

    def fits(batch, accumulate, rows=40, clip=1e9, **options):
        torch.manual_seed(0)
        norms = []

        class Watched(example["TwoTasks"]):
            def on_before_optimizer_step(self, optimizer):
                super().on_before_optimizer_step(optimizer)
                norms.append(float(torch.nn.utils.get_total_norm([*gradients(self)])))

        module = Watched(accumulate=accumulate, clip=clip)
        x = torch.randn(rows, 6)
        data = torch.utils.data.TensorDataset(x, (x[:, 0] > 0).long(), x[:, 1:2])
        trainer = lightning.Trainer(
            max_epochs=3,
            limit_val_batches=0,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            **options,
        )
        share = processes_of()
        sampler = range(rows)[share.rank :: share.count]
        batches = torch.utils.data.DataLoader(
            data, batch_size=batch // share.count, sampler=sampler
        )
        trainer.fit(module, batches, batches)
        return module, norms

    return fits


def as_launched():
    """Sets what launchers set, in a process that has joined its group."""
    share = processes_of()
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0", "TORCHELASTIC_RUN_ID": "test"}
    os.environ |= {"RANK": str(share.rank), "LOCAL_RANK": str(share.rank), "GROUP_RANK": "0"}
    os.environ |= {"WORLD_SIZE": str(share.count), "LOCAL_WORLD_SIZE": str(share.count)}


def gradients(module):
    return (leaf.grad for leaf in module.parameters() if leaf.grad is not None)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_micro_batches_in_lightning_are_the_whole_batch(fit):
    halves, found = fit(batch=10, accumulate=2)
    whole, expected = fit(batch=20, accumulate=1)
    assert len(found) == 6
    assert found == pytest.approx(expected, rel=1e-5)
    assert_same_parameters(halves, whole, rtol=1e-4, atol=1e-6)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_an_epoch_in_lightning_leaves_no_gradients_behind(fit):
    module, norms = fit(batch=10, accumulate=2, rows=50)
    assert len(norms) == 9
    assert module.waiting is None
    assert [*gradients(module)] == []


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_gradients_in_lightning_are_clipped_without_their_loss_scale(fit, lightning):
    scaler = torch.amp.GradScaler("cpu")
    precision = lightning.plugins.precision.MixedPrecision("16-mixed", "cpu", scaler)
    exact, expected = fit(batch=10, accumulate=2, clip=0.5)
    half, norms = fit(batch=10, accumulate=2, clip=0.5, plugins=[precision])
    assert norms == pytest.approx(expected, rel=0.02)
    assert max(norms) == pytest.approx(0.5, rel=1e-3)
    assert_same_parameters(half, exact, rtol=0.05, atol=0.01)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_two_processes_in_lightning_are_one(fit, lightning):
    whole, expected = fit(batch=20, accumulate=2)

    def each():
        as_launched()
        options = {"devices": 2, "use_distributed_sampler": False}
        strategy = lightning.strategies.DDPStrategy(process_group_backend="gloo")
        module, norms = fit(batch=20, accumulate=2, strategy=strategy, **options)
        return module.state_dict(), norms

    for state, norms in in_processes(2, each):
        assert norms == pytest.approx(expected, rel=1e-5)
        torch.testing.assert_close(state, whole.state_dict(), rtol=1e-4, atol=1e-6)


# Accelerate --------------------------------------------------------------------------------------


@pytest.fixture
def accelerated():
    """Trains the example's model; its parameters, and how many steps were in conflict."""
    accelerate = pytest.importorskip(
        "accelerate", reason="not installed: pip install 'motet[loops]'"
    )
    example = runpy.run_path(str(EXAMPLES / "accelerate_loop.py"))

    def forget():
        accelerate.state.AcceleratorState._reset_state(reset_partial_state=True)
        accelerate.state.GradientState._reset_state()

    def trains(batch, accumulate):
        forget()
        split = accelerate.DataLoaderConfiguration(split_batches=True)
        accelerator = accelerate.Accelerator(
            cpu=True, gradient_accumulation_steps=accumulate, dataloader_config=split
        )
        assert accelerator.num_processes == processes_of().count
        torch.manual_seed(0)
        model = example["TwoTasks"]()
        steps = example["train"](
            model, example["new_data"](200, seed=0), accelerator, epochs=2, batch=batch
        )
        return model.state_dict(), [bool(step.cosines[0, 1] < 0) for step in steps]

    yield trains
    forget()


def test_micro_batches_in_accelerate_are_the_whole_batch(accelerated):
    halves, found = accelerated(batch=20, accumulate=2)
    whole, expected = accelerated(batch=40, accumulate=1)
    assert found == expected
    assert len(found) == 10
    torch.testing.assert_close(halves, whole, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_two_processes_in_accelerate_are_one(accelerated):
    whole, expected = accelerated(batch=20, accumulate=2)

    def each():
        as_launched()
        return accelerated(batch=20, accumulate=2)

    for state, found in in_processes(2, each):
        assert found == expected
        torch.testing.assert_close(state, whole, rtol=1e-4, atol=1e-6)


# Hugging Face ------------------------------------------------------------------------------------


@pytest.fixture
def train(transformers, tmp_path):
    """Trains the example's model without dropout; the model, and the log of the trainer."""
    example = runpy.run_path(str(EXAMPLES / "hugging_face_loop.py"))

    def trains(batch, accumulate, rows=128, **options):
        torch.manual_seed(0)
        config = transformers.BertConfig(
            vocab_size=60,
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=16,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
        )
        trainer = example["MultiTaskTrainer"](
            model=example["Reader"](config),
            balancer=motet.balancing.create("upgrad", tasks=["topic", "count"]),
            args=transformers.TrainingArguments(
                output_dir=str(tmp_path),
                num_train_epochs=1,
                per_device_train_batch_size=batch,
                gradient_accumulation_steps=accumulate,
                learning_rate=1e-3,
                label_names=["topic", "count"],
                logging_steps=1,
                use_cpu=True,
                report_to="none",
                disable_tqdm=True,
                save_strategy="no",
                **options,
            ),
            train_dataset=example["Sentences"](rows, seed=0),
        )
        trainer.train()
        assert trainer.waiting is None
        return trainer.model, trainer.state.log_history[:-1]

    return trains


def test_micro_batches_in_hugging_face_are_the_whole_batch(train):
    halves, found = train(batch=16, accumulate=2)
    whole, expected = train(batch=32, accumulate=1)
    assert len(found) == 4
    for key in ("loss", "grad_norm"):
        assert [step[key] for step in found] == pytest.approx(
            [step[key] for step in expected], rel=1e-3
        )
    assert_same_parameters(halves, whole, rtol=1e-3, atol=1e-5)


@pytest.mark.slow
def test_two_processes_in_hugging_face_are_one(train):
    whole, expected = train(batch=32, accumulate=2)

    def each():
        as_launched()
        model, found = train(batch=16, accumulate=2)
        return model.state_dict(), found

    for state, found in in_processes(2, each):
        torch.testing.assert_close(state, whole.state_dict(), rtol=1e-4, atol=1e-6)
        assert [step["grad_norm"] for step in found] == pytest.approx(
            [step["grad_norm"] for step in expected], rel=1e-3
        )


@pytest.mark.slow
def test_the_last_step_of_an_epoch_in_hugging_face_may_have_fewer_micro_batches(train):
    _, found = train(batch=16, accumulate=2, rows=48)
    _, expected = train(batch=32, accumulate=1, rows=48)
    assert [step["loss"] for step in found] == pytest.approx(
        [step["loss"] for step in expected], rel=1e-3
    )


@pytest.mark.slow
def test_hugging_face_may_train_in_bfloat16(train):
    half, found = train(batch=16, accumulate=2, bf16=True)
    exact, expected = train(batch=16, accumulate=2)
    assert [step["loss"] for step in found] == pytest.approx(
        [step["loss"] for step in expected], rel=0.02
    )
    assert next(half.parameters()).dtype == torch.float32
    assert_same_parameters(half, exact, rtol=0.1, atol=0.01)


# Started by torchrun -----------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("lightning_loop", ["kind", "area"]),
        ("accelerate_loop", ["kind", "area"]),
        ("hugging_face_loop", ["accuracy", "r2"]),
    ],
)
def test_two_processes_of_torchrun_learn_and_one_reports(name, lines, lightning, transformers):
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    found = subprocess.run(
        [*launcher, str(EXAMPLES / f"{name}.py")],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        timeout=600,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    scores = re.findall(r"^(\w+): (?:loss )?(-?[\d.]+) -> (-?[\d.]+)$", found.stdout, re.MULTILINE)
    assert [score for score, *_ in scores] == lines
    for score, before, after in scores:
        if score in ("accuracy", "r2"):
            assert float(after) > max(float(before) + 0.3, 0.6)
        else:
            assert float(after) < float(before) / 2
