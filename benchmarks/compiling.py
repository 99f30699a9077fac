"""What `compile: true` gains and costs, and how often code is compiled.

    python benchmarks/compiling.py [--models mlp,cnn] [--balancers equal,upgrad] [--rounds 15]
        [--threads 1]
    python benchmarks/compiling.py --counts
    python benchmarks/compiling.py --whole [--models mlp,cnn] [--rounds 15] [--threads 1]

Steps of two trainers, one with `compile` and one without, in turn in one process, three tasks. The
floor is the forward pass and a bare vector-Jacobian product for each task, without compiling and
without an optimizer. Printed are medians over rounds of the ratio within a round, and how long the
first step takes on the clock, which compiles; with an empty cache
(TORCHINDUCTOR_CACHE_DIR) it takes longest.

With --counts: the pieces of code that a run compiles beyond one for each part of the model, over
texts of all lengths, a smaller last batch, one of a single row, stages of balancers and evaluation.
It calls no compiler.

With --whole: what could be gained if forward pass, losses and the gradients of all tasks were one
compiled graph, with a vector-Jacobian product for each task in turn or all at once (vmap). Compared
with the floor; motet compiles parts, so that autograd stays between them. The models are those of
step_cost.py, whose gradients are kept as they come, not as rows.
"""

import argparse
import os
import statistics
import tempfile
import time
from unittest import mock

import step_cost
import torch
from interleaved import seconds, steps_in_turn
from step_cost import Problem, cnn, floor, mlp, transformer
from torch import nn
from torch._dynamo.utils import counters
from torch.func import functional_call, grad, vjp, vmap

import motet
from motet.encoders import MLP, Transformer
from motet.training.passes import parts_to_compile

TASKS = ("a", "b", "c")
VOCABULARY = 2000
STAGES = [{"type": "equal", "until": 1}, {"type": "upgrad", "until": 2}, "uncertainty"]


def texts(rows, length):
    """Draw texts of up to some tokens, of which at least one has that many."""
    lengths = torch.randint(1, length + 1, (rows, 1))
    lengths[0] = length
    return torch.randint(1, VOCABULARY, (rows, length)) * (torch.arange(length) < lengths)


def small_texts():
    return Transformer(VOCABULARY, width=64, heads=4, layers=2), texts(32, 40), 64


def table():
    return MLP(50), torch.randn(512, 50), 128


MODELS = {
    "table": table,
    "texts": small_texts,
    "mlp": mlp,
    "transformer": transformer,
    "cnn": cnn,
}
"""What returns an encoder, inputs of a batch, and the width of a state."""


def targets(rows):
    return {task: torch.randn(rows) for task in TASKS}


def trainer_of(model, balancer, on):
    torch.manual_seed(0)
    encoder, inputs, width = MODELS[model]()
    tasks = [motet.tasks.Regression(task) for task in TASKS]
    whole = motet.MultiTaskModel(encoder, tasks, width=width)
    trainer = motet.Trainer(whole, balancer, compile=on, analysis=None, device="cpu")
    return trainer, {"inputs": inputs, "targets": targets(len(inputs))}


class Floor:
    """A forward pass, and a bare vector-Jacobian product for each task."""

    def __init__(self, model):
        self.model = model

    def train_step(self, batch):
        losses = self.model.losses(self.model(batch["inputs"]), batch["targets"])
        shared = list(self.model.sharing.parameters())
        for task in TASKS:
            own = list(self.model.heads[task].parameters())
            torch.autograd.grad(losses[task], [*shared, *own], retain_graph=task != TASKS[-1])


def measure(model, balancer, rounds):
    """Return the ratios of a compiled step to others, and the seconds of the first."""
    torch._dynamo.reset()
    made = {name: trainer_of(model, balancer, name == "compiled") for name in ("eager", "compiled")}
    runs, batch = {name: trainer for name, (trainer, _) in made.items()}, made["eager"][1]
    start = time.perf_counter()
    runs["compiled"].train_step(batch)
    first = time.perf_counter() - start
    runs["floor"] = Floor(trainer_of(model, balancer, False)[0].model)
    times = {name: [] for name in runs}
    for name, _, taken in steps_in_turn(runs, [batch] * (rounds + 3)):
        times[name].append(taken)
    times = {name: each[3:] for name, each in times.items()}  # the first steps reserve memory

    def ratio(one, other):
        return statistics.median(a / b for a, b in zip(times[one], times[other], strict=True))

    return {
        "eager": ratio("compiled", "eager"),
        "floor": ratio("compiled", "floor"),
        "eager / floor": ratio("eager", "floor"),
        "milliseconds": 1e3 * statistics.median(times["compiled"]),
        "first": first,
    }


def gradients_in_one_graph(problem, together):
    """Return a compiled function of the parameters that finds the gradients of all tasks."""
    encoder, heads = problem.encoder, problem.heads

    def states(parameters):
        return functional_call(encoder, parameters, (problem.inputs,))

    def loss(features, own, k):
        output = functional_call(heads[k], own, (features,))
        return nn.functional.mse_loss(output, problem.targets[k])

    def step(parameters, own):
        features, back = vjp(states, parameters)
        found = [grad(loss, argnums=(0, 1))(features, own[k], k) for k in range(len(own))]
        starts, heads_own = zip(*found, strict=True)
        if together:
            return vmap(back)(torch.stack(starts)), heads_own
        return [back(start) for start in starts], heads_own

    return torch.compile(step)


def measure_whole(model, count, rounds):
    """Return ratios to the floor of one compiled graph, its products in turn and at once."""
    torch._dynamo.reset()
    problem = Problem(model, count)
    parameters = {name: each.detach() for name, each in problem.encoder.named_parameters()}
    own = [
        {name: each.detach() for name, each in head.named_parameters()} for head in problem.heads
    ]
    runs = {"floor": lambda: floor(problem)(problem.losses())}
    for name, together in (("in turn", False), ("at once", True)):
        step = gradients_in_one_graph(problem, together)
        runs[name] = lambda step=step: step(parameters, own)
    times = seconds(rounds, lambda _: runs)  # the first round compiles, and is not counted
    return [
        statistics.median(a / b for a, b in zip(times[name], times["floor"], strict=True))
        for name in ("in turn", "at once")
    ]


def extra(model):
    """Return how many pieces of code a run compiles beyond one for each part of the model."""
    torch._dynamo.reset()
    counters.clear()
    compile, lengths = torch.compile, (20, 33, 17, 64, 2) if model == "texts" else (0,)

    def quick(forward, options):
        return compile(forward, backend="aot_eager")

    with mock.patch.object(torch, "compile", quick):
        trainer, batch = trainer_of(model, STAGES, True)
    batches = []
    for length in lengths:
        for rows in (16, 16, 9, 1):
            inputs = texts(rows, length) if length else batch["inputs"][:rows]
            batches.append({"inputs": inputs, "targets": targets(len(inputs))})
    trainer.fit(batches, batches, epochs=3)
    return counters["stats"]["unique_graphs"] - len(parts_to_compile(trainer.model))


def figures(quick):
    for model in ("table", "texts"):
        yield f"{model}: code compiled anew", extra(model), 0
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = folder
        for model in ("cnn",) if quick else MODELS:
            for balancer in ("equal", "upgrad"):
                found = measure(model, balancer, 9 if quick else 25)
                yield f"{model}, {balancer}: compiled / eager", found["eager"], 1.0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--balancers", default="equal,upgrad")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--counts", action="store_true", help="how often code is compiled")
    parser.add_argument("--whole", action="store_true", help="a step as one compiled graph")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    if given.whole:
        for model in set(given.models.split(",")) & set(step_cost.MODELS):
            for count in (3, 8):
                turn, once = measure_whole(model, count, given.rounds)
                print(
                    f"{model:12}{count:3} tasks  in turn {turn:.2f}, at once {once:.2f} x floor",
                    flush=True,
                )
        return
    for model in given.models.split(","):
        if given.counts:
            print(f"{model:12} {extra(model)} compiled anew", flush=True)
            continue
        for balancer in given.balancers.split(","):
            found = measure(model, balancer, given.rounds)
            print(
                f"{model:12}{balancer:10}{found['milliseconds']:8.2f} ms"
                f"{found['eager']:7.2f} x eager{found['floor']:7.2f} x floor (eager "
                f"{found['eager / floor']:.2f})  first step {found['first']:.0f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
