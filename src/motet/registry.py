"""Names to places: the balancer, task, encoder, ... that a name in a config stands for.

Each kind has one literal table; listing names and checking a config need no torch. Users add
members with `register`, other packages with entry points (`motet.installed`).
"""

from typing import Any

from motet.names import Registry
from motet.problems import InputError, hint

BALANCERS = Registry(
    "balancer",
    "balancers",
    "motet.balancing.families.balancer:Balancer",
    equal="motet.balancing.equal:Equal",
    manual="motet.balancing.manual:Manual",
    uncertainty="motet.balancing.uncertainty:Uncertainty",
    dwa="motet.balancing.dwa:DWA",
    random="motet.balancing.random:RLW",
    geometric="motet.balancing.geometric:Geometric",
    log="motet.balancing.log:LogLoss",
    imtl_l="motet.balancing.imtl_l:IMTLL",
    stch="motet.balancing.stch:STCH",
    famo="motet.balancing.famo:FAMO",
    focal="motet.balancing.focal:Focal",
    gradnorm="motet.balancing.gradnorm:GradNorm",
    gradient_ratio="motet.balancing.gradient_ratio:GradientRatio",
    meta="motet.balancing.meta:Meta",
    mgda="motet.balancing.mgda:MGDA",
    pcgrad="motet.balancing.pcgrad:PCGrad",
    gradvac="motet.balancing.gradvac:GradVac",
    graddrop="motet.balancing.graddrop:GradDrop",
    cagrad="motet.balancing.cagrad:CAGrad",
    imtl_g="motet.balancing.imtl_g:IMTLG",
    imtl="motet.balancing.imtl:IMTL",
    nash="motet.balancing.nash:Nash",
    fairgrad="motet.balancing.fairgrad:FairGrad",
    aligned="motet.balancing.aligned:AlignedMTL",
    upgrad="motet.balancing.upgrad:UPGrad",
    dualproj="motet.balancing.dualproj:DualProj",
    conflict_free="motet.balancing.conflict_free:ConFIG",
    pcd="motet.balancing.pcd:PCD",
    db_mtl="motet.balancing.db_mtl:DBMTL",
    moco="motet.balancing.moco:MoCo",
    excess="motet.balancing.excess:ExcessMTL",
)
SHARING = Registry(
    "sharing",
    "sharing",
    "motet.sharing.base:Sharing",
    hard="motet.sharing.hard:Hard",
    soft="motet.sharing.soft:Soft",
    mmoe="motet.sharing.mmoe:MMoE",
    cgc="motet.sharing.cgc:CGC",
    ple="motet.sharing.ple:PLE",
    dselect_k="motet.sharing.dselect_k:DSelectK",
    routing="motet.sharing.routing:Routing",
    progressive="motet.sharing.progressive:Progressive",
    attention="motet.sharing.attention:Attention",
    cross_stitch="motet.sharing.cross_stitch:CrossStitch",
)
AUXILIARY = Registry(
    "auxiliary",
    "auxiliary",
    "motet.tasks.auxiliary:Auxiliary",
    language_modelling="motet.tasks.language_modelling:LanguageModelling",
    masked_language_modelling="motet.tasks.masked_language_modelling:MaskedLanguageModelling",
    next_sentence="motet.tasks.next_sentence:NextSentence",
    sentence_order="motet.tasks.sentence_order:SentenceOrder",
    word_order="motet.tasks.word_order:WordOrder",
    denoising="motet.tasks.denoising:Denoising",
    contrastive="motet.tasks.contrastive:Contrastive",
)
TASKS = Registry(
    "task",
    "tasks",
    "motet.tasks.base:Task",
    AUXILIARY,
    classification="motet.tasks.classification:Classification",
    regression="motet.tasks.regression:Regression",
    multi_label="motet.tasks.multi_label:MultiLabel",
    sequence_labelling="motet.tasks.sequence_labelling:SequenceLabelling",
    ranking="motet.tasks.ranking:Ranking",
    word_regression="motet.tasks.word_regression:WordRegression",
    triplet="motet.tasks.triplet:Triplet",
    ordinal="motet.tasks.ordinal:Ordinal",
    count="motet.tasks.count:Count",
    quantile="motet.tasks.quantile:Quantile",
    custom="motet.tasks.custom:Custom",
    generation="motet.tasks.generation:Generation",
    segmentation="motet.tasks.segmentation:Segmentation",
    pixel_regression="motet.tasks.pixel_regression:PixelRegression",
)
HEADS = Registry(
    "head",
    "heads",
    mlp="motet.tasks.heads:TaskHead",
)
LOSSES = Registry(
    "loss",
    "losses",
    cross_entropy="motet.tasks.losses.elements:cross_entropy",
    focal="motet.tasks.losses.elements:focal",
    binary_cross_entropy="motet.tasks.losses.elements:binary_cross_entropy",
    mse="motet.tasks.losses.elements:mse",
    mae="motet.tasks.losses.elements:mae",
    huber="motet.tasks.losses.elements:huber",
    log_cosh="motet.tasks.losses.elements:log_cosh",
    poisson="motet.tasks.losses.counts:poisson",
    negative_binomial="motet.tasks.losses.counts:negative_binomial",
)
METRICS = Registry(
    "metric",
    "metrics",
    accuracy="motet.tasks.metrics.classes:accuracy",
    macro_f1="motet.tasks.metrics.classes:macro_f1",
    auroc="motet.tasks.metrics.classes:auroc",
    average_precision="motet.tasks.metrics.classes:average_precision",
    log_loss="motet.tasks.metrics.classes:log_loss",
    calibration_error="motet.tasks.metrics.classes:calibration_error",
    mae="motet.tasks.metrics.numbers:mae",
    rmse="motet.tasks.metrics.numbers:rmse",
    r2="motet.tasks.metrics.numbers:r2",
    pinball="motet.tasks.metrics.quantiles:pinball",
    coverage="motet.tasks.metrics.quantiles:coverage",
    d2="motet.tasks.metrics.counts:d2",
    kappa="motet.tasks.metrics.ordinal:kappa",
    ndcg="motet.tasks.metrics.rankings:ndcg",
    mrr="motet.tasks.metrics.rankings:mrr",
    map="motet.tasks.metrics.rankings:map_",
    recall_at_1="motet.tasks.metrics.embeddings:recall_at_1",
    span_f1="motet.tasks.metrics.spans:span_f1",
    span_f1_conlleval="motet.tasks.metrics.spans:span_f1_conlleval",
    token_accuracy="motet.tasks.metrics.spans:token_accuracy",
    sentence_exact="motet.tasks.metrics.exact:sentence_exact",
    exact_match="motet.tasks.metrics.texts:exact_match",
    token_f1="motet.tasks.metrics.texts:token_f1",
    perplexity="motet.tasks.metrics.texts:perplexity",
    mean_iou="motet.tasks.metrics.pixels:mean_iou",
    depth_error="motet.tasks.metrics.pixels:depth_error",
)
LABELS = Registry(
    "label",
    "labels",
    "motet.data.targets.base:Target",
    **{"class": "motet.data.targets.classes:ClassTarget"},
    ordinal="motet.data.targets.ordinal:OrdinalTarget",
    number="motet.data.targets.number:NumberTarget",
    count="motet.data.targets.count:CountTarget",
    quantile="motet.data.targets.quantile:QuantileTarget",
    interval="motet.data.targets.interval:IntervalTarget",
    word_numbers="motet.data.targets.word_numbers:WordNumberTarget",
    indicators="motet.data.targets.indicators:IndicatorTarget",
    tags="motet.data.targets.tags:TagTarget",
    pixel_classes="motet.data.targets.pixel_classes:PixelClassTarget",
    pixel_numbers="motet.data.targets.pixel_numbers:PixelNumberTarget",
    relevance="motet.data.targets.relevances:RelevanceTarget",
    text="motet.data.targets.text:TextTarget",
    identity="motet.data.targets.identities:IdentityTarget",
    none="motet.data.targets.none:NoTarget",
)
INPUTS = Registry(
    "input",
    "inputs",
    "motet.data.inputs.base:Input",
    number="motet.data.inputs.number:Number",
    category="motet.data.inputs.category:Category",
    vector="motet.data.inputs.vector:Vector",
    sequence="motet.data.inputs.sequence:FrameSequence",
    text="motet.data.inputs.text:Text",
    image="motet.data.inputs.image:Image",
    time="motet.data.inputs.time:Time",
    set="motet.data.inputs.set:Set",
)
ENCODERS = Registry(
    "encoder",
    "encoders",
    "torch.nn:Module",
    mlp="motet.encoders.mlp:MLP",
    identity="motet.encoders.identity:Identity",
    ensemble="motet.encoders.ensemble:Ensemble",
    tabular_transformer="motet.encoders.tabular_transformer:TabularTransformer",
    bag="motet.encoders.bag:Bag",
    lstm="motet.encoders.lstm:LSTM",
    transformer="motet.encoders.transformer:Transformer",
    pretrained="motet.encoders.pretrained:Pretrained",
    cnn="motet.encoders.cnn:CNN",
    timm="motet.encoders.timm:Timm",
    **{
        "bag+lstm": "motet.encoders.beside_bag:BagLSTM",
        "bag+transformer": "motet.encoders.beside_bag:BagTransformer",
    },
)
FUSIONS = Registry(
    "fusion",
    "fusions",
    "motet.encoders.fusion.base:Fusion",
    concat="motet.encoders.fusion.concat:Concat",
    attention="motet.encoders.fusion.attention:Attention",
    gating="motet.encoders.fusion.gating:Gating",
    hierarchical="motet.encoders.fusion.hierarchical:Hierarchical",
    cross_attention="motet.encoders.fusion.cross_attention:CrossAttention",
)
OPTIMIZERS = Registry(
    "optimizer",
    "optimizers",
    adamw="motet.training.optimizers:adamw",
    adam="motet.training.optimizers:adam",
    sgd="motet.training.optimizers:sgd",
    rmsprop="motet.training.optimizers:rmsprop",
)
LR_SCHEDULES = Registry(
    "lr_schedule",
    "lr_schedules",
    constant="motet.training.lr_schedules:constant",
    cosine="motet.training.lr_schedules:cosine",
    linear="motet.training.lr_schedules:linear",
    step="motet.training.lr_schedules:step",
)
SCHEDULERS = Registry(
    "scheduler",
    "schedulers",
    "motet.scheduling.base:Scheduler",
    all="motet.scheduling.all:All",
    round_robin="motet.scheduling.round_robin:RoundRobin",
    random="motet.scheduling.random:Random",
    proportional="motet.scheduling.proportional:Proportional",
    temperature="motet.scheduling.temperature:Temperature",
    annealed="motet.scheduling.annealed:Annealed",
    weighted="motet.scheduling.weighted:Weighted",
    task_balanced="motet.scheduling.task_balanced:TaskBalanced",
    performance="motet.scheduling.performance:Performance",
    curriculum="motet.scheduling.curriculum:Curriculum",
)
SOURCES = Registry(
    "source",
    "sources",
    "motet.data.sources.base:Source",
    files="motet.data.sources.files:Files",
)
DATASETS = Registry(
    "dataset",
    "datasets",
    adult="motet.datasets:adult",
    clothing="motet.datasets:clothing",
)

KINDS: dict[str, Registry] = {
    table.kind: table for table in list(globals().values()) if isinstance(table, Registry)
}
"""Every table above, by its kind."""


def version() -> int:
    """Return a number that grows with every registration, of whatever kind: members hold others."""
    return sum(registry.version for registry in KINDS.values())


def register(kind: str, name: str, member: Any) -> None:
    """Register your member under a name that configs can use.

    Args:
        kind: One of ``KINDS``, for example "balancer", "task", "encoder", "loss" or "metric".
        name: A free name.
        member: The class or function; its keyword-only arguments become its options.

    Raises:
        InputError: If the kind is unknown or the name is taken.

    Example:
        >>> register("balancer", "equal", object)
        Traceback (most recent call last):
            ...
        motet.problems.InputError: the balancer name 'equal' is taken; choose another
    """
    if kind not in KINDS:
        raise InputError(f"no kind is named {kind!r}; {hint(kind, KINDS)}")
    KINDS[kind].add(name, member)
