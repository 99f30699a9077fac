"""One training step: forward and backward passes, the update, and what balancers learn from it."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor

from motet.balancing import BackwardResult, Balancer
from motet.data.batches import Batch, Draw
from motet.host import on_host
from motet.sharing import SharedModule
from motet.training.affinity import exact, first_order
from motet.training.choices import Choice, tasks_of
from motet.training.evaluation import evaluating
from motet.training.facts import report_losses, report_progress
from motet.training.looks import Look
from motet.training.needs import ValidationBatches, look_ahead, report_losses_after
from motet.training.notices import warn_of_nothing_to_compare
from motet.training.plan import Part, Plan
from motet.training.records import LOG_EVERY
from motet.training.replicas import check_replicas
from motet.training.setup import Setup
from motet.training.state import TrainingState
from motet.training.statistics import Matrix, Measured
from motet.training.updates import clear_gradients, clip_gradient, count_skipped, update
from motet.training.words import check_words


@dataclass(frozen=True)
class StepResult:
    """What one training step did. Tensors stay on the device."""

    losses: dict[str, Tensor]
    gradient_norm: Tensor | None = None
    """Norm of the whole gradient, before clipping."""
    balanced: BackwardResult | None = None
    """What the balancer did; None if no task had a label."""
    penalty: Tensor | None = None
    """The regulariser of the sharing scheme, if it has one."""
    skipped: bool = False
    """Whether nothing was updated, as a loss or the gradient was not finite."""
    measured: Measured | None = None
    """Inner products of the tasks' gradients, at the steps where they are known."""
    looked: bool = False
    """Whether they were measured beside training."""
    affinity: Matrix | None = None
    """What a step along the gradient of each task (row) would do to each loss (column), (T', T');
    see `motet.training.affinity`."""
    batches: int = 1
    """Number of batches it took."""
    unlabelled: tuple[str, ...] = ()
    """The tasks of the step, if no task was trained because no row has a label."""

    @property
    def gradient_norms(self) -> Mapping[str, float]:
        """Norms of the tasks' gradients on the shared parameters, where they are known."""
        return {} if self.measured is None else self.measured.norms


class Steps:
    """Makes training steps.

    Args:
        setup: What is trained.
    """

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._parameters = list(setup.model.parameters())
        self._rehearsed = False
        self._several = setup.processes.several
        self._compared = not self._several
        self._balancer: Balancer | None = None  # of the last step
        self._stage: tuple[int, Balancer, Mapping[str, Any]] | None = None
        """The last epoch, its balancer and the arguments of `motet.backward`."""
        self._look: Look | None = None
        self._every, self._first, self._compares = 1, 0, False
        scheduler = setup.planner.scheduler
        self._facts = bool(scheduler.needs)
        self._counts = scheduler.counts_steps
        self._acts = type(setup.model.sharing).after_step is not SharedModule.after_step
        self.ahead: ValidationBatches | None = None
        """Validation batches for balancers that look ahead; None without."""

    def make(
        self, batches: Iterator[Batch | Draw], state: TrainingState, clip_norm: float | None
    ) -> StepResult:
        """Make one update; see `motet.Trainer.train_step`.

        Args:
            batches: Tensors on the device, or what draws them; as many are taken as are needed.
            state: Where training is; it is updated.
            clip_norm: Largest norm of the whole gradient.

        Returns:
            What the step did.
        """
        setup, model = self._setup, self._setup.model
        if not self._compared:
            check_replicas(setup.modules(), setup.processes, state.step)
            self._compared = True
        planner, passes, rates = setup.planner, setup.passes, setup.rates
        step, epoch = state.step, state.epoch + 1
        if self._stage is None or self._stage[0] != epoch:
            self._stage = epoch, setup.stages.at(epoch), setup.stages.pass_at(epoch)
        _, balancer, options = self._stage
        with setup.generators.own():
            state.position = setup.pace.position(state) if planner.choices.several else step
            rates.set(state.position)
            setup.pace.now = state.position
            if self._several:  # which may have drawn differently in the last step
                setup.generators.seed("batches", step)
            if self._facts:
                report_progress(planner.scheduler, setup.pace, state)
            choices = planner.choices.of_step(planner.labelled_in(epoch), batches, state)
            auxiliary = planner.auxiliary(choices, state) if planner.has_auxiliary else ()
            plan = planner.plan(choices, auxiliary, step, epoch)
            if plan.drawn:
                _count_rows(plan, state)
            if self._counts:
                plan.count(state.scheduled)
            if balancer is not self._balancer:
                self._balancer = balancer
                self._begin_looks(balancer, options)
                warn_of_nothing_to_compare(planner, balancer, plan, state)
            if not self._rehearsed:
                setup.stages.rehearse(epoch, partial(passes.losses, plan.first()))
                self._rehearsed = True
            if self.ahead is not None:
                valid = self.ahead
                own = planner.ordered(tasks_of(choices))
                ahead = lambda: planner.plan([Choice(valid.at(step), own)], auxiliary, step, epoch)  # noqa: E731
                tried, optimizer = passes.tried_losses, setup.optimizer
                with passes.trying():
                    look_ahead(balancer, model, optimizer, tried, plan, ahead, setup.processes)
            clear_gradients(setup.optimizer)
            passes.averages.save()
            look = self._look if (step + 1) % self._every == self._first else None
            passed = passes.make(plan, balancer, options, look=look)
            state.step += 1
            if passed is None:
                return StepResult({}, batches=len(choices), unlabelled=self._unlabelled(plan))
        losses, result, penalty = passed.losses, passed.balanced, passed.penalty
        scaled = setup.scale.scaler is not None
        if scaled:
            setup.scale.unscale(setup.optimizer)
        norm = clip_gradient(self._parameters, clip_norm)
        numbers = on_host([*losses.values(), norm])  # a device sync
        overflowed = scaled and setup.scale.update() and all(map(math.isfinite, numbers[:-1]))
        if not all(map(math.isfinite, numbers)):
            passes.averages.restore()
            if overflowed:
                state.overflowed += 1
                state.totals.add(passed.terms)
            else:
                with evaluating(model):
                    check_words(model, map(_placed, plan.balanced), losses)
                count_skipped(state, losses)
            return StepResult(losses, norm, result, penalty, skipped=True, batches=len(choices))
        state.skipped_in_a_row = 0
        measured, affinity = passed.own or passed.measured, None
        gramian = result.gramian if result is not None and self._compares else None
        if measured is None and result is not None and gramian is not None:
            measured = Measured(result.tasks, gramian.numpy())
        if measured is not None:
            known = dict(zip(losses, numbers, strict=False))
            if setup.normalizer.active and result is not None:
                known = dict(zip(result.losses, on_host(list(result.losses.values())), strict=True))
            if look is not None and measured.rows is not None:
                affinity = exact(measured, known, rates.highest, partial(passes.losses, plan))
            elif setup.looks.first_order and measured.comparable:
                affinity = first_order(measured, known, rates.highest)
            state.pairs.add(measured, affinity)
        update(setup.optimizer, balancer, losses)
        if self._acts:
            model.sharing.after_step(rates.highest, model.active_tasks)
        if setup.average.kind is not None:
            setup.average.add(state, setup.pace.total)
        report_losses_after(balancer, passes.losses, plan)
        if self._facts:
            report_losses(planner.scheduler, dict(zip(losses, numbers, strict=False)))
        state.totals.add(passed.terms)
        return StepResult(
            losses,
            norm,
            result,
            penalty,
            measured=measured,
            looked=passed.measured is not None,
            affinity=affinity,
            batches=len(choices),
        )

    def _begin_looks(self, balancer: Balancer, options: Mapping[str, Any]) -> None:
        """Choose at which steps of a balancer the task gradients are measured beside training."""
        of_parameters = options.get("at") != "representation"
        self._compares = balancer.needs.reads == "gramian" and of_parameters
        looks, tasks = self._setup.looks, len(balancer.tasks)
        self._look = looks.of(tasks, compared=self._compares)
        self._every = looks.every(tasks)
        self._first = LOG_EVERY % self._every

    def _unlabelled(self, plan: Plan) -> tuple[str, ...]:
        """Return the tasks of a plan if no row has a label of any."""
        tasks = self._setup.model.tasks
        asked = [
            (name, part.batch.targets.get(name)) for part in plan.balanced for name in part.tasks
        ]
        known = [tasks[name].labelled(each).any() for name, each in asked if each is not None]
        return () if any(on_host(known)) else tuple(dict.fromkeys(name for name, _ in asked))


def _count_rows(plan: Plan, state: TrainingState) -> None:
    for batch in plan.drawn:
        if batch.source is not None:
            state.rows[batch.source] = state.rows.get(batch.source, 0) + len(batch)


def _placed(part: Part) -> tuple[Tensor | str, Batch]:
    rows = part.batch.rows
    return "the batch" if rows is None else rows, part.batch
