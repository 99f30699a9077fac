"""Names of other systems lead to what does the same here, from Python and from a config."""

import importlib
import inspect
import re

import pytest
import torch
from torch import nn

import motet
from motet.config import ConfigError, read
from motet.elsewhere import instead_of
from motet.other_classes import CLASSES, METHODS
from motet.other_names import NOTES
from motet.problems import InputError, option_hint

FOLDERS = [
    "motet",
    *(
        f"motet.{name}"
        for name in ["balancing", "sharing", "tasks", "encoders", "scheduling", "training"]
    ),
    "motet.encoders.fusion",
    *(f"motet.{name}" for name in ["model", "analysis", "config", "data", "migration"]),
]
SYSTEMS = [
    "TaskConfig",
    "SharedEncoder",
    "MultiModalEncoder",
    "HierarchicalEncoder",
    "MultiHeadAttentionFusion",
    "GatingFusion",
    "TaskHead",
    "ClassificationHead",
    "RegressionHead",
    "SequenceHead",
    "MultiLabelHead",
    "ContrastiveHead",
    "RankingHead",
    "CustomHead",
    "LossBalancer",
    "MultiTaskModelFactory",
    "MultiTaskTrainer",
    "BackwardsCompatibilityWrapper",
    "ProgressiveMigrationBuilder",
    "HardParameterSharing",
    "SoftParameterSharing",
    "create_hard_sharing_model",
    "create_soft_sharing_model",
    "MultiTaskLoss",
    "UncertaintyWeighting",
    "GradNorm",
    "DynamicWeightAverage",
    "MultiTaskMetrics",
    "create_multitask_dataloader",
    "MTLConfig",
    "MTLArchitecture",
    "MultiGateMixtureOfExperts",
    "CrossStitchNetworks",
    "TaskRoutingNetworks",
    "ProgressiveNetworks",
    "AttentionBasedSharing",
    "LossBalancingStrategy",
    "EqualWeighting",
    "ManualWeighting",
    "TaskBalancedSampling",
    "FocalLoss",
    "MetaLearning",
    "TaskType",
    "TaskPriority",
    "AuxiliaryTaskConfig",
    "AuxiliaryTaskFrequency",
    "TaskClusteringConfig",
    "TaskSchedulingStrategy",
    "MultiTaskLearningTrainer",
    "TaskBatch",
    "GradientStats",
    "MultiTaskOutput",
    "MultiTaskEvaluation",
    "MTLStats",
    "hard_parameter_sharing_config",
    "soft_parameter_sharing_config",
    "mmoe_config",
    "classification_task",
    "regression_task",
    "mlm_auxiliary_task",
    "compute_task_similarity",
    "compute_correlation",
    "analyze_mtl_effectiveness",
    "grad_norm_loss",
    "SentenceTransformer",
    "create_padding_mask",
    "MultitaskTransformer",
    "MultitaskLoss",
    "MultitaskDataset",
    "train_model",
]


@pytest.mark.parametrize("name", SYSTEMS)
def test_every_public_name_of_the_systems_leads_to_ours(name):
    assert instead_of(name)


@pytest.mark.parametrize("text", [*CLASSES.values(), *map(instead_of, SYSTEMS)])
def test_what_is_proposed_exists(text):
    for place in re.findall(r"motet(?:\.\w+)+", text):
        found = motet
        for part in place.split(".")[1:]:
            found = getattr(found, part)
    for kind, name in re.findall(r"motet\.(\w+)\.create\('(\w+)'", text):
        assert name in getattr(motet, kind).available()


@pytest.mark.parametrize("folder", FOLDERS)
def test_attributes_and_imports_name_ours(folder):
    module = importlib.import_module(folder)
    with pytest.raises(AttributeError, match=r"no attribute 'DynamicWeightAverage'; use .*'dwa'"):
        module.DynamicWeightAverage  # noqa: B018  # the access is what is tested
    with pytest.raises(ImportError, match=r"'DynamicWeightAverage'; use .*'dwa'"):
        exec(f"from {folder} import DynamicWeightAverage")
    with pytest.raises(ImportError, match="cannot import name 'Unheard'"):
        exec(f"from {folder} import Unheard")
    assert not hasattr(module, "Unheard")


def test_a_misspelt_name_is_answered_with_the_nearest_one():
    with pytest.raises(AttributeError, match="'Clasification'; did you mean 'Classification'"):
        motet.tasks.Clasification  # noqa: B018  # the access is what is tested
    with pytest.raises(ImportError, match="'MultiTaskModle'; did you mean 'MultiTaskModel'"):
        exec("from motet import MultiTaskModle")
    with pytest.raises(AttributeError, match="no attribute 'task'; did you mean 'tasks'"):
        motet.task  # noqa: B018
    with pytest.raises(InputError, match="train: no option 'overides'; did you mean 'overrides'"):
        motet.train({}, overides=["training.epochs=1"])


def test_modules_are_imported_though_members_have_their_names():
    exec("from motet.sharing import cross_stitch; assert cross_stitch.CrossStitch")


def test_the_likeliest_kind_is_that_of_the_module():
    assert instead_of("Attention", "sharing") == "motet.sharing.create('attention')"
    assert "fusion='attention'" in instead_of("Attention", "fusion")
    assert "'gradnorm'" in instead_of("GradNormBalancer")


def test_methods_name_ours():
    model = motet.MultiTaskModel(nn.Linear(2, 2), [motet.tasks.Regression("a")])
    objects = {
        "Trainer": motet.Trainer(model),
        "TaskMetrics": motet.TaskMetrics(model.tasks),
        "Facade": model.facade(),
    }
    for kind, methods in METHODS.items():
        for name, ours in methods.items():
            with pytest.raises(
                AttributeError, match=re.escape(f"no attribute {name!r}; use {ours}")
            ):
                getattr(objects[kind], name)
            assert hasattr(objects[kind], re.match(r"\w+", ours)[0])
        assert not hasattr(objects[kind], "unheard")


def test_the_base_of_balancers_is_not_made_as_one():
    with pytest.raises(InputError, match=r"'manual', tasks\).*'uncertainty', tasks\)"):
        motet.balancing.LossBalancer({"a": 1.0}, method="dynamic")
    for balancer in (motet.balancing.LossBalancer, motet.balancing.Equal):
        assert list(inspect.signature(balancer).parameters) == ["tasks"]


OPTIONS = [
    (motet.balancing.create, ("uncertainty", ["a"]), "init_log_vars", "initial"),
    (motet.balancing.create, ("uncertainty", ["a"]), "task_types", "kinds"),
    (motet.balancing.create, ("manual", ["a"]), "loss_weights", "weights"),
    (motet.balancing.create, ("meta", ["a"]), "meta_lr", "learning_rate"),
    (motet.balancing.DWA, (["a"],), "window_size", "window"),
    (motet.sharing.create, ("soft",), "sharing_strength", "strength"),
    (motet.sharing.create, ("soft",), "sharing_groups", "groups"),
    (motet.sharing.create, ("soft",), "regularization_weight", "strength"),
    (motet.sharing.create, ("soft",), "regularization_type", "regularizer"),
    (motet.sharing.create, ("hard",), "task_specific_layers", "task_layers"),
    (motet.sharing.create, ("hard",), "shared_head_dim", "shared_width"),
    (motet.sharing.create, ("mmoe",), "num_experts", "experts"),
    (motet.sharing.create, ("mmoe",), "expert_dim", "expert_width"),
    (motet.sharing.create, ("cross_stitch",), "cross_stitch_layers", "layers"),
    (motet.sharing.create, ("routing",), "num_routers", "routers"),
    (motet.sharing.create, ("routing",), "routing_dim", "width"),
    (motet.sharing.create, ("progressive",), "lateral_connections", "lateral"),
    (motet.sharing.create, ("progressive",), "adapter_layers", "adapters"),
    (motet.sharing.create, ("attention",), "attention_dim", "width"),
    (motet.sharing.create, ("attention",), "num_attention_heads", "heads"),
    (motet.tasks.Classification, ("a",), "num_classes", "classes"),
    (motet.tasks.Classification, ("a",), "output_dim", "classes"),
    (motet.tasks.Classification, ("a",), "is_main_task", "main"),
    (motet.tasks.Classification, ("a",), "loss_weight", "weight"),
    (motet.tasks.Regression, ("a",), "output_dim", "outputs"),
    (motet.tasks.Regression, ("a",), "huber_delta", "delta"),
    (motet.tasks.TaskHead, (3, 2), "hidden_dims", "hidden"),
    (motet.MultiTaskModel, (nn.Linear(2, 2),), "fusion_method", "fusion"),
    (motet.MultiTaskModel, (nn.Linear(2, 2),), "backbone", "encoder"),
    (motet.encoders.create, ("transformer", 100), "nhead", "heads"),
    (motet.TaskMetrics, (), "task_names", "tasks"),
    (motet.TaskMetrics, ([],), "metric_fns", "metrics"),
    (motet.data.from_texts, (["a"],), "classification_labels", "labels"),
    (motet.data.from_texts, (["a"],), "ner_labels", "tags"),
    (motet.encoders.create, ("transformer", 100), "dim_feedforward", "feedforward"),
    (motet.encoders.create, ("transformer", 100), "num_encoder_layers", "layers"),
]


@pytest.mark.parametrize(("made", "given", "option", "ours"), OPTIONS)
def test_options_name_ours(made, given, option, ours):
    with pytest.raises(InputError, match=f"no option '{option}'; did you mean '{ours}'"):
        made(*given, **{option: 1})


def test_options_of_a_trainer_name_ours():
    model = motet.MultiTaskModel(nn.Linear(2, 2), [motet.tasks.Regression("a")])
    for option, ours in {
        "lr": "learning_rate",
        "grad_clip": "clip_norm",
        "loss_fn": "balancer",
    }.items():
        with pytest.raises(InputError, match=f"'{option}'; did you mean '{ours}'"):
            motet.Trainer(model, **{option: 1.0})
    for option, ours in {"num_epochs": "epochs", "val_dataset": "validation"}.items():
        with pytest.raises(InputError, match=f"'{option}'; did you mean '{ours}'"):
            motet.Trainer(model).fit(None, **{option: 1})


CLUSTERS = {"method": "by", "num_clusters": "number", "update_frequency": "every"}


@pytest.mark.parametrize(("option", "ours"), CLUSTERS.items())
def test_keys_within_an_option_name_ours(option, ours):
    groups = {"by": "gradients", "number": 2, option: 2}
    with pytest.raises(InputError, match=f"'groups.{option}'; did you mean '{ours}'"):
        motet.sharing.create("soft", groups=groups)
    tasks = dict.fromkeys("abc", "regression")
    with pytest.raises(ConfigError, match=f"groups.{option}: unknown key; did you mean '{ours}'"):
        read({"tasks": tasks, "model": {"sharing": {"type": "soft", "groups": groups}}})


@pytest.mark.parametrize(
    ("option", "hint"),
    {
        "prob": "'frequency.prob'; did you mean 'probability'",
        "epoch_range": "'frequency.epoch_range'; did you mean 'epochs'",
        "when": r"keys when, .* \{probability: p\} or \{epochs",
    }.items(),
)
def test_a_frequency_of_another_form_names_ours(option, hint):
    with pytest.raises(InputError, match=hint):
        motet.tasks.Denoising("cells", frequency={option: 0.5})


@pytest.mark.parametrize("option", NOTES)
def test_options_of_another_form_say_what_to_do(option):
    assert option_hint(option, ["other"]) == NOTES[option]
    with pytest.raises(ConfigError, match=re.escape(NOTES[option])):
        read({"tasks": {"a": "classification"}, "model": {option: True}})


TASKS = "a: classification, b: {type: sequence_labelling}"
LINES = {
    "balancing: {type: manual, weights: [1, 2]}": "write {a: 1, b: 2}",
    "balancing: {type: meta, meta_lr: 0.1}": "'learning_rate'",
    "balancing: {type: LossBalancer, method: static}": "'manual'",
    "balancing: {type: dynamic}": "'uncertainty'",
    "balancing: {method: dynamic}": "'type'",
    "balancing: {type: uncertainty, init_log_vars: 0}": "'initial'",
    "balancing: {type: equal, loss_weights: {a: 1}}": "tasks.a.weight",
    "loss_balancing: {type: dwa}": "'balancing'",
    "model: {sharing: {type: soft, sharing_strength: 0.1}}": "'strength'",
    "model: {sharing: {type: soft, sharing_groups: [[a, b]]}}": "'groups'",
    "model: {sharing: {type: mmoe, num_experts: 4}}": "'experts'",
    "model: {sharing: {type: hard, task_embedding_dim: 64}}": "'task_embedding'",
    "model: {fusion_method: attention}": "'fusion'",
    "task_losses: {a: mse}": "tasks.a.loss",
    "model: {modality_dims: {a: 3}}": "without data, give each input a width",
    "training: {evaluation_frequency: 1000}": "'evaluate_every'",
    "evaluation_frequency: 1000": "training.evaluate_every",
    "scheduling: {type: priority_based}": "'weighted'",
}


@pytest.mark.parametrize("line", LINES)
def test_configs_name_ours(line, tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text(f"data: {{source: motet://adult}}\ntasks: {{{TASKS}}}\n{line}\n")
    with pytest.raises(ConfigError) as error:
        read(str(file))
    assert LINES[line] in str(error.value)


@pytest.mark.parametrize(
    ("option", "ours"),
    {"is_main_task: true": "'main'", "use_crf: true": "write decoder: crf"}.items(),
)
def test_tasks_of_configs_name_ours(option, ours, tmp_path):
    file = tmp_path / "run.yaml"
    task = f"{{type: sequence_labelling, {option}}}"
    file.write_text(f"data: {{source: motet://adult}}\ntasks: {{a: {task}}}\n")
    with pytest.raises(ConfigError) as error:
        read(str(file))
    assert ours in str(error.value)


def test_a_list_in_place_of_a_mapping_is_to_be_named():
    with pytest.raises(InputError, match=r"write \{NAME: 1, NAME: 2\}, each with its name"):
        motet.balancing.Manual(["a", "b"], weights=[1, 2])


def test_balancers_can_be_copied_and_made_without_arguments_by_copy():
    balancer = motet.balancing.create("dwa", ["a", "b"])
    copied = type(balancer).__new__(type(balancer))
    copied.__dict__.update(balancer.__dict__)
    assert torch.equal(copied.means, balancer.means)
