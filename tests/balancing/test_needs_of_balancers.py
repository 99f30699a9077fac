"""What balancers need, in one record: of every registered one, and of one's own."""

import copy
from dataclasses import FrozenInstanceError, replace

import pytest

from motet.balancing import (
    GramianBalancer,
    JacobianBalancer,
    LossBalancer,
    Needs,
    available,
    create,
)

LOSSES, GRAMIAN, JACOBIAN = Needs("losses"), Needs("gramian"), Needs("jacobian")
REMEMBERING = replace(JACOBIAN, columns_stay=True)
EXPECTED = {
    **dict.fromkeys(["random", "geometric", "famo"], LOSSES),
    **dict.fromkeys(["uncertainty", "log", "imtl_l"], replace(LOSSES, compares=False)),
    **dict.fromkeys(["equal", "manual"], replace(LOSSES, compares=False, fixed_weights=True)),
    **dict.fromkeys(["dwa", "stch"], replace(LOSSES, epochs=True)),
    "focal": replace(LOSSES, scores=True),
    "meta": replace(LOSSES, looks_ahead=True),
    "gradnorm": replace(LOSSES, norms="last"),
    "gradient_ratio": replace(LOSSES, norms="last", penalizes_norms=True),
    **dict.fromkeys(["moco", "excess", "db_mtl"], REMEMBERING),
    "graddrop": replace(JACOBIAN, gives_weights=False),
    "imtl": replace(GRAMIAN, scales_losses=True),
    "pcd": replace(GRAMIAN, priorities=True),
}


@pytest.mark.parametrize("name", available())
def test_every_balancer_has_the_needs_of_its_family_and_its_methods(name):
    options = {"weights": {"a": 1.0, "b": 2.0}} if name == "manual" else {}
    needs = create(name, ["a", "b"], **options).needs
    assert needs == EXPECTED.get(name, GRAMIAN)
    assert needs.gradients == (needs.reads != "losses" or name in ("gradnorm", "gradient_ratio"))


def test_needs_follow_the_options_of_an_instance():
    assert create("gradnorm", ["a"], layer="all").needs.norms == "all"
    assert create("famo", ["a"], exact=True).needs.after_step


def test_a_balancer_of_ones_own_needs_what_its_methods_read():
    class Mine(LossBalancer):
        layer = "all"
        exact = True

        def forward(self, losses, present):
            return losses.sum()

        def end_epoch(self, means): ...

        def observe_scores(self, scores): ...

        def after_step(self, losses): ...

        def look_ahead(self, module, optimizer, train, validation): ...

        def observe_norms(self, norms, losses, present): ...

    assert Mine(["a"]).needs == Needs(
        "losses", norms="all", looks_ahead=True, after_step=True, epochs=True, scores=True
    )


def test_norms_are_for_balancers_that_read_losses():
    class Mine(GramianBalancer):
        layer = "all"

        def forward(self, gramian, losses, present): ...

        def observe_norms(self, norms, losses, present): ...

    assert Mine(["a"]).needs == GRAMIAN


def test_a_balancer_that_remembers_columns_needs_them_to_stay():
    class Mine(JacobianBalancer):
        column_state = ("memory",)

        def forward(self, jacobian, losses, present): ...

    assert Mine(["a"]).needs == replace(REMEMBERING, gives_weights=False)


def test_needs_cannot_be_changed_and_are_copied_with_a_balancer():
    balancer = create("pcgrad", ["a", "b"])
    with pytest.raises(FrozenInstanceError):
        balancer.needs.reads = "losses"
    assert copy.deepcopy(balancer).needs == balancer.needs


def test_a_balancer_draws_if_it_or_the_loss_balancer_inside_does():
    class Drawing(LossBalancer):
        draws = True

        def forward(self, losses, present):
            return losses.sum()

    assert Drawing(["a", "b"]).needs.draws
    assert create("mgda", ["a", "b"], losses=Drawing(["a", "b"])).needs.draws
    assert not create("random", ["a"]).needs.draws  # it draws from (seed, step)
