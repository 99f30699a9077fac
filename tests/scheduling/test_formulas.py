"""How often each scheduler chooses each task: by its formula, and in the long run."""

from collections import Counter
from itertools import islice

import pytest
import torch
from scipy.stats import chisquare

from motet.problems import InputError
from motet.scheduling import Facts, Progress, create

TWO, FOUR = ("common", "rare"), ("a", "b", "c", "d")
PRIORITIES = dict(zip(FOUR, ("low", "normal", "high", "critical"), strict=True))


def made(name, tasks=TWO, progress=None, **options):
    scheduler = create(name, tasks, **options)
    scheduler.facts = Facts(
        rows={"common": 1000, "rare": 10}, progress=progress, priorities=PRIORITIES
    )
    return scheduler


CASES = [
    (made("random"), [0.5, 0.5]),
    (made("round_robin"), [0.5, 0.5]),
    (made("proportional"), [0.9901, 0.0099]),
    (made("proportional", cap=100), [0.9091, 0.0909]),
    (made("temperature", temperature=1), [0.9901, 0.0099]),
    (made("temperature", temperature=2), [0.9091, 0.0909]),
    (made("temperature", temperature=1e6), [0.5, 0.5]),
    (made("annealed", progress=Progress(1, 10)), [0.9901, 0.0099]),
    (made("annealed", progress=Progress(10, 10)), [0.7153, 0.2847]),
    (made("annealed", progress=Progress(1, 1)), [0.9901, 0.0099]),
    (made("weighted", FOUR), [0.5 / 6.5, 1 / 6.5, 2 / 6.5, 3 / 6.5]),
    (made("weighted", base={"type": "proportional", "cap": 100}), [0.9091, 0.0909]),
    (made("performance"), [0.5, 0.5]),
    (made("curriculum", FOUR, Progress(1, 1)), [1, 0, 0, 0]),
    (made("curriculum", FOUR, Progress(3, 10)), [1 / 2, 1 / 2, 0, 0]),
    (made("curriculum", FOUR, Progress(5, 10)), [1 / 3, 1 / 3, 1 / 3, 0]),
    (made("curriculum", FOUR, Progress(7, 10)), [1 / 4] * 4),
    (made("curriculum", FOUR, Progress(3, 10), order=["d", "c", "b", "a"]), [0, 0, 1 / 2, 1 / 2]),
]


def named(case):
    return type(case).__name__ if hasattr(case, "tasks_for") else ""


@pytest.mark.parametrize(("scheduler", "expected"), CASES, ids=named)
def test_probabilities_follow_the_formula_and_draws_the_probabilities(scheduler, expected):
    tasks = scheduler.tasks
    assert list(scheduler.probabilities(tasks)) == pytest.approx(expected, abs=5e-5)
    drawn = Counter(task for step in range(4000) for task in scheduler.tasks_for(step, tasks))
    possible = [(drawn[task], p) for task, p in zip(tasks, expected, strict=True) if p]
    assert sum(count for count, _ in possible) == 4000
    if len(possible) > 1:
        counts, shares = zip(*possible, strict=True)
        total = sum(shares)
        assert chisquare(counts, [4000 * p / total for p in shares]).pvalue > 1e-3


def test_scores_make_the_worst_task_likely():
    scheduler = made("performance", FOUR[:2])
    scheduler.observe_scores({"a": 0.9, "b": 0.5})
    assert scheduler.probabilities("ab") == pytest.approx([1 / 6, 5 / 6])
    scheduler.observe_scores({"a": 0.7, "b": -3.0})  # clipped to 0
    assert scheduler.probabilities("ab") == pytest.approx([0.2 / 0.95, 0.75 / 0.95])
    scheduler.observe_scores({"a": 0.7})  # the score of b is unknown, and so stays
    assert scheduler.probabilities("ab") == pytest.approx([0.25 / 1, 0.75 / 1])
    for _ in range(50):
        scheduler.observe_scores({"a": 1.0, "b": 0.0})
    assert scheduler.probabilities("ab") == pytest.approx([0.05 / 1.05, 1 / 1.05])
    steep = made("performance", FOUR[:2], gamma=2.0, epsilon=0.0)
    steep.observe_scores({"a": 0.9, "b": 0.5})
    assert steep.probabilities("ab") == pytest.approx([0.01 / 0.26, 0.25 / 0.26])
    steep.observe_scores({"a": 1.0, "b": 1.0})
    steep.observe_scores({"a": 1.0, "b": 1.0})


def test_losses_in_relation_to_the_first_make_slow_tasks_likely():
    scheduler = made("performance", FOUR[:2], form="loss", beta=2.0, smoothing=0.5)
    assert scheduler.probabilities("ab") == [0.5, 0.5]
    scheduler.observe_losses({"a": 4.0})
    scheduler.observe_losses({"b": 1.0})
    scheduler.observe_losses({"a": 2.0})  # 3 on average, 3/4 of the first
    expected = torch.tensor([2 * 0.75, 2 * 1.0]).softmax(0)
    assert scheduler.probabilities("ab") == pytest.approx(expected.tolist())


@pytest.mark.parametrize("fact", ["loss", "score"])
def test_a_curriculum_by_what_is_observed_first_draws_all_until_that_is_known(fact):
    scheduler = made("curriculum", FOUR, Progress(1, 10), order=fact)
    assert scheduler.waiting(FOUR) == ()
    observe = scheduler.observe_losses if fact == "loss" else scheduler.observe_scores
    observe({"a": 3.0, "b": 1.0})
    assert scheduler.waiting(FOUR) == ()
    observe({"a": 0.0, "c": 2.0, "d": 4.0})  # the first value of a stays
    waiting = ["c", "a", "d"] if fact == "loss" else ["a", "c", "b"]
    assert scheduler.waiting(FOUR) == waiting


def test_several_tasks_are_drawn_one_after_the_other_without_replacement():
    scheduler = made("proportional", FOUR[:3], tasks_per_step=2)
    n = {"a": 6, "b": 3, "c": 1}
    scheduler.facts.rows = n
    drawn = Counter(tuple(scheduler.tasks_for(step, FOUR[:3])) for step in range(6000))
    exact = {
        (one, two): n[one] / 10 * n[two] / (10 - n[one]) for one in n for two in n if one != two
    }
    assert drawn.keys() == exact.keys()
    assert chisquare([drawn[k] for k in exact], [6000 * p for p in exact.values()]).pvalue > 1e-3


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("shuffle", [False, True])
def test_in_turn_every_task_trains_equally_often_and_once_per_step(count, shuffle):
    scheduler = create("round_robin", "abcde", shuffle=shuffle, tasks_per_step=count)
    steps = [scheduler.tasks_for(step, "abcde") for step in range(50)]
    assert all(len(set(step)) == count for step in steps)
    flat = [task for step in steps for task in step]
    cycles = [flat[start : start + 5] for start in range(0, len(flat), 5)]
    if count in (1, 5) or not shuffle:
        assert all(sorted(cycle) == list("abcde") for cycle in cycles)
    assert set(Counter(flat).values()) == {10 * count}
    assert len(set(map(tuple, cycles))) > 3 if shuffle else cycles[0] == list("abcde")


def test_another_seed_gives_other_draws_and_the_same_seed_the_same():
    def draws(seed):
        scheduler = made("random", FOUR)
        scheduler.facts.seed = seed
        return [*islice((scheduler.tasks_for(step, FOUR)[0] for step in range(99)), 40)]

    assert draws(0) == draws(0) != draws(1)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("curriculum", {"order": ["a", "e"]}, "order: no task is named 'e'"),
        ("curriculum", {"order": ["a", "b"]}, "order: found a, b, with c, d left out"),
        ("curriculum", {"order": "size"}, "order: found 'size'"),
        ("random", {"tasks_per_step": 5}, "tasks_per_step: found 5; expected at most 4"),
        ("random", {"tasks_per_step": 0}, "tasks_per_step: found 0"),
        (
            "weighted",
            {"base": {"type": "curriculum"}},
            "'curriculum' does not fit here",
        ),
        ("weighted", {"base": {"type": "random", "tasks_per_step": 2}}, "belongs beside base"),
        ("performance", {"gamma": 1.0, "form": "loss"}, "gamma: applies only with form: score"),
        ("all", {"combine": "cycle"}, "combine: found cycle, but All trains all tasks"),
        ("all", {"tasks_per_step": 1}, "has no option 'tasks_per_step'"),
        ("task_balanced", {"combine": "cycle"}, "combine: found cycle, but TaskBalanced trains"),
        ("round_robin", {"combine": "step"}, "combine: found 'step'"),
    ],
)
def test_options_that_do_not_fit_are_explained(name, options, message):
    with pytest.raises(InputError, match=message):
        create(name, FOUR, **options)


@pytest.mark.parametrize("name", ["proportional", "temperature", "annealed", "curriculum"])
def test_a_scheduler_without_the_facts_that_it_reads_names_them(name):
    with pytest.raises(InputError, match=r"reads .*, which is not known .*Trainer.fit"):
        create(name, FOUR).tasks_for(0, FOUR)
