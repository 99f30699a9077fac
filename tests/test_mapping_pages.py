"""The mapping pages have every capability and every public name of five systems, with code."""

import re
from pathlib import Path

import pytest
import yaml

from motet import Config

PAGES = Path(__file__).parents[1] / "docs" / "mapping"
PYTHON = "```python\n"

CAPABILITIES = {
    "multi_modal_framework": [f"A{number}" for number in range(1, 15)],
    "array_toolkit": [f"B{number}" for number in range(1, 11)],
    "config_driven_framework": [f"C{number}" for number in range(1, 14)],
    "gradient_notes": [f"D{number}" for number in range(1, 7)],
    "text_transformers": [f"E{number}" for number in range(1, 8)],
}
NAMES = {
    "multi_modal_framework": {
        "TaskConfig": "name task_type output_dim weight",
        "SharedEncoder": "",
        "MultiModalEncoder": "modality_dims output_dim fusion_method",
        "HierarchicalEncoder": "modality_groups modality_dims output_dim",
        "MultiHeadAttentionFusion": "",
        "GatingFusion": "",
        "TaskHead": "",
        "ClassificationHead": "",
        "RegressionHead": "",
        "SequenceHead": "",
        "MultiLabelHead": "",
        "ContrastiveHead": "",
        "RankingHead": "",
        "CustomHead": "",
        "LossBalancer": "losses method static dynamic",
        "update_weight": "",
        "MultiTaskModel": "enable_task disable_task get_active_tasks compute_losses",
        "MultiTaskModelFactory": "build_model build_from_config register_encoder register_head",
        "MultiTaskTrainer": "",
        "BackwardsCompatibilityWrapper": "set_primary_task get_all_outputs enable_task",
        "ProgressiveMigrationBuilder": "",
    },
    "array_toolkit": {
        "TaskHead": "input_dim output_dim hidden_dims activation dropout",
        "HardParameterSharing": "backbone task_heads shared_head_dim",
        "SoftParameterSharing": "task_networks sharing_strength=0.01 sharing_groups",
        "create_hard_sharing_model": "",
        "create_soft_sharing_model": "",
        "MultiTaskLoss": "task_losses loss_weights reduction",
        "UncertaintyWeighting": "task_losses task_types init_log_vars",
        "GradNorm": "alpha=1.5",
        "DynamicWeightAverage": "temperature=2.0 window_size=2",
        "get_task_weights": "",
        "get_uncertainties": "",
        "MultiTaskTrainer": "model loss_fn optimizer device metric_fns grad_clip train_epoch "
        "validate fit get_task_weights get_task_uncertainties",
        "MultiTaskMetrics": "task_names metric_fns update compute compute_task_metric reset",
        "create_multitask_dataloader": "inputs targets batch_size=32 shuffle",
    },
    "config_driven_framework": {
        "MTLConfig": "architecture loss_balancing tasks use_task_embeddings task_embedding_dim=64 "
        "use_auxiliary_tasks auxiliary_tasks task_clustering evaluation_frequency=1000 "
        "use_task_scheduling task_scheduling",
        "MTLArchitecture": "",
        "HardParameterSharing": "shared_layers=8 task_specific_layers=2",
        "SoftParameterSharing": "regularization_weight regularization_type",
        "MultiGateMixtureOfExperts": "num_experts expert_dim num_gates",
        "CrossStitchNetworks": "cross_stitch_layers",
        "TaskRoutingNetworks": "num_routers routing_dim",
        "ProgressiveNetworks": "lateral_connections adapter_layers",
        "AttentionBasedSharing": "attention_dim num_attention_heads",
        "LossBalancingStrategy": "",
        "EqualWeighting": "",
        "ManualWeighting": "",
        "UncertaintyWeighting": "",
        "DynamicWeightAverage": "",
        "GradNorm": "",
        "TaskBalancedSampling": "",
        "FocalLoss": "gamma",
        "MetaLearning": "meta_lr",
        "TaskConfig": "",
        "TaskType": "",
        "TaskPriority": "",
        "AuxiliaryTaskConfig": "",
        "AuxiliaryTaskFrequency": "",
        "TaskClusteringConfig": "method num_clusters update_frequency",
        "TaskSchedulingStrategy": "",
        "MultiTaskLearningTrainer": "train_multi_task_step evaluate_all_tasks get_mtl_stats",
        "TaskBatch": "",
        "GradientStats": "",
        "MultiTaskOutput": "",
        "MultiTaskEvaluation": "",
        "MTLStats": "",
        "hard_parameter_sharing_config": "",
        "soft_parameter_sharing_config": "",
        "mmoe_config": "",
        "classification_task": "",
        "regression_task": "",
        "mlm_auxiliary_task": "",
        "compute_task_similarity": "",
        "compute_correlation": "",
        "analyze_mtl_effectiveness": "",
    },
    "text_transformers": {
        "SentenceTransformer": "vocab_size d_model=512 nhead=8 num_encoder_layers=6 "
        "dim_feedforward=2048 dropout=0.1 max_seq_length=512",
        "create_padding_mask": "",
        "MultitaskTransformer": "vocab_size num_classes num_ner_tags forward",
        "MultitaskLoss": "",
        "MultitaskDataset": "texts classification_labels ner_labels tokenizer",
        "train_model": "model train_dataset val_dataset num_epochs=10 learning_rate=2e-5",
        "freezing": "entire backbone gradual selective",
        "three tutorials": "",
    },
    "gradient_notes": {
        "grad_norm_loss": "loss1 loss2 model alpha=0.12",
        "the sentiment + topic project": "",
    },
}


def sections(page):
    """Headings and what follows each, up to the next."""
    text = (PAGES / f"{page}.md").read_text(encoding="utf-8")
    pieces, code = [["", ""]], False
    for line in text.splitlines(keepends=True):
        code ^= line.startswith("```")
        if line.startswith("#") and not code:
            pieces.append([line.strip(), ""])
        else:
            pieces[-1][1] += line
    return pieces


@pytest.mark.parametrize(
    ("page", "row"), [(page, row) for page, rows in CAPABILITIES.items() for row in rows]
)
def test_every_capability_has_code_that_runs(page, row):
    found = [text for heading, text in sections(page) if heading.startswith(f"### {row}: ")]
    assert len(found) == 1
    assert PYTHON in found[0]


@pytest.mark.parametrize(
    ("page", "name"), [(page, name) for page, names in NAMES.items() for name in names]
)
def test_every_public_name_has_code_that_runs_and_its_arguments(page, name):
    headings, texts = zip(*sections(page), strict=True)
    named = re.compile(rf"(?<!\w){re.escape(name)}(?!\w)")
    after = headings.index("## Public names")
    found = [
        (line, text)
        for heading, text in zip(headings[after:], texts[after:], strict=True)
        for line in [heading, *(line for line in text.splitlines() if line.startswith(("| ", "`")))]
        if named.search(line)
    ]
    assert found, f"docs/mapping/{page}.md does not have {name}"
    line, text = next((each for each in found if each[0].startswith("#")), found[0])
    assert PYTHON in text
    for argument in NAMES[page][name].split():
        place = "\n".join(each for each in text.splitlines() if each.startswith("| "))
        place = line + place if "=" in argument else line + text
        assert re.search(rf"(?<!\w){re.escape(argument)}(?!\w)", place), argument


BLOCKS = [
    pytest.param(block, id=f"{page}-{number}")
    for page in CAPABILITIES
    for number, block in enumerate(
        re.findall(r"^```yaml\n(.*?)^```$", (PAGES / f"{page}.md").read_text("utf-8"), re.M | re.S)
    )
]


@pytest.mark.parametrize("block", BLOCKS)
def test_what_a_page_writes_for_a_config_is_accepted(block):
    config = {"tasks": {"a": "regression", "b": "classification"}, **yaml.safe_load(block)}
    assert Config(**config).tasks


def test_the_index_leads_to_every_page():
    index = (PAGES / "index.md").read_text(encoding="utf-8")
    pages = sorted(each.name for each in PAGES.glob("*.md") if each.name != "index.md")
    assert [page for page in pages if f"({page})" not in index] == []
    assert {f"{page}.md" for page in CAPABILITIES} == set(pages)
