"""An error about an option points at the line of that option, whatever section it is in."""

import pytest

from motet.config import ConfigError
from motet.run.building import check

ROWS = {
    "age": [float(row % 7) for row in range(60)],
    "job": ["cook", "nurse", "pilot"] * 20,
    "churn": ["yes", "no"] * 30,
    "spend": [float(row % 5) for row in range(60)],
}
CONFIG = """\
data:
  split:
    validation: 0.2
inputs:
  age: number
  job:
    type: category
tasks:
  churn:
    type: classification
  spend: regression
model:
  sharing:
    type: mmoe
balancing:
  type: dwa
training:
  epochs: 2
"""


@pytest.mark.parametrize(
    ("before", "added", "said"),
    [
        (
            "    validation: 0.2",
            "    stratify: jobb",
            "4:5  data.split.stratify: the data have no",
        ),
        ("    validation: 0.2", "    train: a", "4:12  data.split.train: found 'a', which names"),
        ("    type: category", "    size: 1", "8:5  inputs.job.size: found 1, but column 'job'"),
        (
            "    type: classification",
            "    class_weights: [1, 2, 3]",
            "11:5  tasks.churn.class_weights: found 3 numbers, expected 2",
        ),
        (
            "    type: classification",
            "    metrics: [rmse]",
            "11:5  tasks.churn.metrics: 'rmse' does not suit classification",
        ),
        (
            "    type: mmoe",
            "    top_k: 9",
            "15:5  model.sharing.top_k: found 9, expected at most 8",
        ),
        (
            "    type: mmoe",
            "    groups: [[churn]]",
            "15:5  model.sharing.groups: found no group",
        ),
        ("  type: dwa", "  window: 1", "17:3  balancing.window: found 1, expected at least 2"),
        ("  epochs: 2", "  freeze: [encoder, churn, spend]", "19:3  training.freeze: "),
        ("  epochs: 2", "  monitor: chrun", "19:12  training.monitor: found 'chrun'; did you mean"),
        ("  epochs: 2", "  device: cuda:77", "19:3  training.device: found 'cuda:77', which"),
        ("  epochs: 2", "  frozen: training", "19:3  training.frozen: has no effect without"),
        ("  epochs: 2", "  cache_frozen: true", "19:3  training.cache_frozen: no text encoder is"),
    ],
)
def test_it_points_at_the_line_of_the_option(before, added, said, tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG.replace(before, f"{before}\n{added}"))
    with pytest.raises(ConfigError) as caught:
        check(path, data=ROWS)
    assert str(caught.value).startswith(f"{path}:{said}")


def test_it_points_at_a_loss_balancer_that_does_not_go_inside_another(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG.replace("  type: dwa", "  type: pcgrad\n  losses: {type: gradnorm}"))
    with pytest.raises(ConfigError, match=r"17:3  balancing\.losses: PCGrad does not support Grad"):
        check(path, data=ROWS)
