"""What a sharing scheme costs compared with the same modules called by hand.

Forward and backward pass of the sum of the losses, three tasks, MLP [256, 128] on 100 numbers. By
hand means: the very same experts, gates and heads, called in plain code without motet. Also MMoE
with 16 experts of width 64 compared with 16 modules in a loop, and a step of `motet.Trainer` with
one model of all tasks compared with the steps of three models of one task. Each pair runs in turn
in one process; prints the median of the ratios, and the quartiles.

    python benchmarks/sharing_cost.py [--repeats 60] [--batch 512] [--threads 1]
"""

import argparse
import statistics

import torch
from interleaved import ratios, seconds
from torch import nn

import motet
from motet.sharing import Stages
from motet.sharing.experts import mixed

TASKS = ("a", "b", "c")


def network():
    layers = []
    for before, after in ((100, 256), (256, 256), (256, 128)):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers)


def built(name, **options):
    torch.manual_seed(0)
    tasks = [motet.tasks.Regression(task) for task in TASKS]
    sharing = motet.sharing.create(name, **options)
    return motet.MultiTaskModel(network(), tasks, sharing=sharing)


def heads(model, states):
    return [model.heads[task].head(state) for task, state in states.items()]


def hard(model):
    module = model.sharing.stages[0]
    return lambda x: heads(model, dict.fromkeys(TASKS, module(x)))


def mmoe(model):
    level = model.sharing.levels[0]

    def run(x):
        z = model.sharing.bottom(x)
        experts = level.shared(z)
        weights = {task: level.gates[task].linear(z).softmax(1) for task in TASKS}
        return heads(model, {task: mixed(weights[task], [experts]) for task in TASKS})

    return run


def cgc(model):
    level = model.sharing.levels[0]

    def run(x):
        z = model.sharing.bottom(x)
        shared = level.shared(z)
        return heads(
            model,
            {
                task: mixed(level.gates[task].linear(z).softmax(1), [level.own[task](z), shared])
                for task in TASKS
            },
        )

    return run


def ple(model):
    first, last = model.sharing.levels

    def run(x):
        z = model.sharing.bottom(x)
        own = {task: first.own[task](z) for task in TASKS}
        shared = first.shared(z)
        streams = {
            task: mixed(first.gates[task].linear(z).softmax(1), [own[task], shared])
            for task in TASKS
        }
        z = mixed(first.shared_gate.linear(z).softmax(1), [*own.values(), shared])
        shared = last.shared(z)
        return heads(
            model,
            {
                task: mixed(
                    last.gates[task].linear(streams[task]).softmax(1),
                    [last.own[task](streams[task]), shared],
                )
                for task in TASKS
            },
        )

    return run


def dselect_k(model):
    def run(x):
        experts = model.sharing.experts(model.sharing.bottom(x))
        gates = {task: model.sharing.gates[task]() for task in TASKS}
        return heads(
            model,
            {task: torch.einsum("e,bed->bd", gates[task], experts) for task in TASKS},
        )

    return run


def soft(model):
    def run(x):
        states = {}
        for task in TASKS:
            states[task] = x
            for stage in model.sharing.columns[task]:
                states[task] = stage(states[task])
        return heads(model, states)

    return run


def cross_stitch(model):
    def run(x):
        states = [x] * len(TASKS)
        for place, matrix in enumerate(model.sharing.stitch):
            pairs = zip(model.sharing.columns, states, strict=True)
            states = [column[place](state) for column, state in pairs]
            states = torch.einsum("kt,tbd->kbd", matrix, torch.stack(states)).unbind()
        return heads(model, dict(zip(TASKS, states, strict=True)))

    return run


def attention(model):
    def run(x):
        state, taken = x, {}
        for level, stage in enumerate(model.sharing.stages):
            state = stage(state)
            for task in TASKS:
                mask = model.sharing.masks[task][level]
                hidden = mask.shared(state)
                if level:
                    hidden = hidden + mask.before(taken[task])
                taken[task] = mask.out(hidden.relu()).sigmoid() * state
        return heads(model, taken)

    return run


def routing(model):
    def run(x):
        states = dict.fromkeys(TASKS, x)
        for place, stage in enumerate(model.sharing.stages):
            masks = model.sharing.get_buffer(f"mask_{place}")
            first = stage(x) if place == 0 else None
            for task, mask in zip(TASKS, masks, strict=True):
                states[task] = (stage(states[task]) if first is None else first) * mask
        return heads(model, states)

    return run


def progressive(model):
    def run(x):
        known, states = [], {}
        for task in TASKS:
            column, inside = model.sharing.columns[task], [x]
            for place, stage in enumerate(column.stages):
                state = inside[-1]
                if known and place:
                    lateral = column.laterals[str(place)]
                    before = [each[place] for each in known]
                    scaled = [a * h for a, h in zip(lateral.scale, before, strict=True)]
                    state = state + lateral.out(lateral.adapter(torch.cat(scaled, 1)).relu())
                inside.append(stage(state))
            known.append([state.detach() for state in inside])
            states[task] = inside[-1]
        return heads(model, states)

    return run


BY_HAND = {
    "hard": hard,
    "mmoe": mmoe,
    "cgc": cgc,
    "ple": ple,
    "dselect_k": dselect_k,
    "soft": soft,
    "cross_stitch": cross_stitch,
    "attention": attention,
    "routing": routing,
    "progressive": progressive,
}
"""Return for each scheme a function from a model to a function that computes the same by hand."""


class Loop(nn.Module):
    """Experts in a list, called one after the other and added up."""

    def __init__(self, width, experts, expert_width):
        super().__init__()
        layers = (nn.Sequential(nn.Linear(width, expert_width), nn.ReLU()) for _ in range(experts))
        self.experts = nn.ModuleList(layers)
        self.gates = nn.ModuleList(nn.Linear(width, experts) for _ in TASKS)

    def forward(self, z):
        outputs = [expert(z) for expert in self.experts]
        found = []
        for gate in self.gates:
            weights = gate(z).softmax(1).unbind(1)
            pairs = zip(weights, outputs, strict=True)
            found.append(sum(weight.unsqueeze(1) * output for weight, output in pairs))
        return found


class Stacked(Loop):
    """The same, stacked before one einsum per task."""

    def forward(self, z):
        outputs = torch.stack([expert(z) for expert in self.experts], dim=1)
        gates = [gate(z).softmax(1) for gate in self.gates]
        return [torch.einsum("be,bed->bd", gate, outputs) for gate in gates]


def step(run, x):
    """Return a function that makes a forward and a backward pass."""
    return lambda: sum(output.square().mean() for output in run(x)).backward()


def compare(one, other, repeats):
    """Time two functions in turn; return quartiles of the ratio, and milliseconds of the first."""
    times = seconds(repeats, lambda _: {"one": one, "other": other})
    return statistics.quantiles(ratios(times), n=4), 1e3 * statistics.median(times["one"])


def schemes(batch, repeats):
    """Yield each scheme with its quartiles of time / time by hand, and its milliseconds."""
    torch.manual_seed(0)
    x = torch.randn(batch, 100)
    for name, by_hand in BY_HAND.items():
        model = built(name)
        plain = by_hand(model)
        expected = dict(zip(TASKS, plain(x), strict=True))
        for task, raw in model(x).items():
            torch.testing.assert_close(raw, expected[task].squeeze(1))
        ours = step(lambda x, m=model: m(x).values(), x)
        yield name, *compare(ours, step(plain, x), repeats)


def saved(balancer, batch, repeats):
    """Compare a step of one model of all tasks with those of a model for each."""
    torch.manual_seed(0)
    x, target = torch.randn(batch, 100), torch.randn(batch)

    def trainer(tasks):
        model = motet.MultiTaskModel(network(), [motet.tasks.Regression(task) for task in tasks])
        return motet.Trainer(model, balancer, analysis=None, device="cpu")

    def stepped(tasks):
        trainers = [trainer(each) for each in tasks]
        batches = [{"inputs": x, "targets": dict.fromkeys(each, target)} for each in tasks]
        return lambda: [
            each.train_step(batch) for each, batch in zip(trainers, batches, strict=True)
        ]

    return compare(stepped([TASKS]), stepped([[task] for task in TASKS]), repeats)


def figures(quick):
    for name, (_, ratio, _), _ in schemes(512, 15 if quick else 60):
        yield f"a step of {name} / by hand", ratio, 1.10
    for balancer in ("equal", "upgrad"):
        (_, ratio, _), _ = saved(balancer, 512, 15 if quick else 60)
        yield f"one model of three tasks / three, {balancer}", ratio, None


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=60)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--threads", type=int, default=1)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    print(f"batch {chosen.batch}, {chosen.threads} thread(s); time / time by hand")
    for name, (low, ratio, high), ms in schemes(chosen.batch, chosen.repeats):
        print(f"{name:<12} {ratio:.2f} ({low:.2f} to {high:.2f})  {ms:.2f} ms")
    for balancer in ("equal", "upgrad"):
        (low, ratio, high), ms = saved(balancer, chosen.batch, chosen.repeats)
        print(
            f"one model / one per task, {balancer:<8} "
            f"{ratio:.2f} ({low:.2f} to {high:.2f})  {ms:.2f} ms"
        )
    print("16 experts of width 64: time of a loop / time")
    for batch, width in ((32, 64), (64, 64), (128, 64), (512, 64)):
        z = torch.randn(batch, width)
        stages = Stages.of([nn.Identity()])
        scheme = motet.sharing.create("mmoe", experts=16, expert_width=64)
        module = scheme.build(stages, TASKS, width)
        for label, kind in (("added up", Loop), ("stacked", Stacked)):
            loop = kind(width, 16, 64)
            ours = step(lambda z, m=module: m(z, TASKS).values(), z)
            quarters, ms = compare(step(loop, z), ours, chosen.repeats)
            low, ratio, high = quarters
            print(f"batch {batch:<4} {label:<9} {ratio:.2f} ({low:.2f} to {high:.2f})  {ms:.2f} ms")


if __name__ == "__main__":
    main()
