"""Names to places: the balancer, task, encoder, ... that a name in a config stands for.

Each kind has one literal table. Nothing is imported until a name is used, so listing names and
checking a config need no torch. Users add members with `register`, other packages with entry points
(`motet.installed`), which are read when a table is listed or a name is not in it.
"""

from collections import ChainMap
from collections.abc import Iterable, Iterator, MutableMapping
from pkgutil import resolve_name
from typing import Any

from motet.installed import Offer, offers
from motet.other_names import MEMBERS
from motet.problems import InputError, hint, with_article


class Registry:
    """The members of one kind: ``registry["name"]`` imports that member and returns it.

    Args:
        kind: Name of the kind.
        plural: The name of several, which `motet list` takes, and entry points after "motet.".
        special: A table whose members are members of this kind, too.
        **places: "module:object" by name.
    """

    def __init__(
        self, kind: str, plural: str, special: "Registry | None" = None, /, **places: str
    ) -> None:
        self.kind, self.plural = kind, plural
        self.version = 0  # grows with every registration
        self._own: dict[str, Any] = dict(places)
        self._places: MutableMapping[str, Any] = self._own
        self._complete = False  # whether entry points were read
        self._whole, self._special = self, special  # names must be free in the whole table
        if special is not None:
            self._places = ChainMap(self._own, special._own)
            special._whole = self

    @property
    def noun(self) -> str:
        """What messages call a member."""
        return _NOUNS.get(self.kind, self.kind)

    @property
    def one(self) -> str:
        """What messages call one member, with the article."""
        return with_article(self.noun)

    def __getitem__(self, name: str) -> Any:
        place = self.place(name)
        return resolve_name(place) if isinstance(place, str) else place

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def __contains__(self, name: object) -> bool:
        return name in self._places or name in self._all()

    def _all(self) -> MutableMapping[str, Any]:
        if self._special is not None:
            self._special._all()
        if not self._complete:
            self._own |= offers(f"motet.{self.plural}", self.noun, self._whole._places)
            self._complete = True
        return self._places

    def known(self, name: str) -> str:
        """Return ``name`` if a member has it.

        Raises:
            InputError: If none has; the message names the nearest.
        """
        if name not in self:
            raise InputError(f"no {self.noun} is named {name!r}; {self.hint(name)}")
        return name

    def hint(self, name: str, fitting: Iterable[str] | None = None) -> str:
        """Return "did you mean ...?", of the members or those that fit, or a list of them."""
        return hint(name, self if fitting is None else fitting, MEMBERS.get(self.kind))

    def find(self, member: Any) -> str | None:
        """Return the name of a class or function, None if it has none; nothing is imported."""
        place = f"{member.__module__}:{member.__qualname__}"
        for name, own in self._all().items():
            if own in (place, member) or (isinstance(own, Offer) and own.point.value == place):
                return name
        return None

    def name_of(self, member: type) -> str:
        """Return the name of a class.

        Raises:
            InputError: If it has none.
        """
        name = self.find(member)
        if name is None:
            raise InputError(
                f"the class {member.__qualname__} has no name as {self.one}; register it: "
                f"motet.register({self.kind!r}, name, {member.__name__})"
            )
        return name

    def place(self, name: str) -> Any:
        """Return "module:object" for a built-in member; any other is imported and returned."""
        place = self._places[self.known(name)]
        if isinstance(place, Offer):
            place = self._places[name] = place.load()
        return place

    def is_built_in(self, name: str) -> bool:
        """Whether a member is part of this package."""
        return isinstance(self._places[self.known(name)], str)

    def package(self, name: str) -> str | None:
        """Return the package that offers a member, None once it is imported or if it has none."""
        place = self._places[self.known(name)]
        return place.package if isinstance(place, Offer) else None

    def at_hand(self) -> list[str]:
        """List the members whose options are known without importing another package."""
        return [name for name in self if self.package(name) is None]

    def load(self) -> None:
        """Import the members of other packages, for a schema that describes them all."""
        for name in set(self) - set(self.at_hand()):
            self.place(name)
            self.version += 1

    def add(self, name: str, member: Any) -> None:
        """Register a member under a free name.

        Raises:
            InputError: If the name is taken or not usable.
        """
        if not name.isidentifier():
            raise InputError(f"{name!r} cannot name {self.one}: use letters, digits and _")
        if name in self._whole:
            package = self._whole.package(name)
            by = f" by the package {package}" if package else ""
            raise InputError(f"the {self.noun} name {name!r} is taken{by}; choose another")
        self._places[name] = member
        self.version += 1


_NOUNS = {"sharing": "sharing scheme", "auxiliary": "auxiliary task", "label": "kind of label"}
"""What messages call a member whose kind is no noun for one."""

BALANCERS = Registry(
    "balancer",
    "balancers",
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
    db_mtl="motet.balancing.db_mtl:DBMTL",
    moco="motet.balancing.moco:MoCo",
    excess="motet.balancing.excess:ExcessMTL",
)
SHARING = Registry(
    "sharing",
    "sharing",
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
)
TASKS = Registry(
    "task",
    "tasks",
    AUXILIARY,
    classification="motet.tasks.classification:Classification",
    regression="motet.tasks.regression:Regression",
    multi_label="motet.tasks.multi_label:MultiLabel",
    sequence_labelling="motet.tasks.sequence_labelling:SequenceLabelling",
)
HEADS = Registry(
    "head",
    "heads",
    mlp="motet.tasks.heads:TaskHead",
)
LOSSES = Registry(
    "loss",
    "losses",
    cross_entropy="motet.tasks.losses:cross_entropy",
    focal="motet.tasks.losses:focal",
    binary_cross_entropy="motet.tasks.losses:binary_cross_entropy",
    mse="motet.tasks.losses:mse",
    mae="motet.tasks.losses:mae",
    huber="motet.tasks.losses:huber",
    log_cosh="motet.tasks.losses:log_cosh",
)
METRICS = Registry(
    "metric",
    "metrics",
    accuracy="motet.tasks.metrics:accuracy",
    macro_f1="motet.tasks.metrics:macro_f1",
    auroc="motet.tasks.metrics:auroc",
    average_precision="motet.tasks.metrics:average_precision",
    log_loss="motet.tasks.metrics:log_loss",
    mae="motet.tasks.number_metrics:mae",
    rmse="motet.tasks.number_metrics:rmse",
    r2="motet.tasks.number_metrics:r2",
    span_f1="motet.tasks.span_metrics:span_f1",
    span_f1_conlleval="motet.tasks.span_metrics:span_f1_conlleval",
    token_accuracy="motet.tasks.span_metrics:token_accuracy",
)
LABELS = Registry(
    "label",
    "labels",
    **{"class": "motet.data.targets.classes:ClassTarget"},
    number="motet.data.targets.number:NumberTarget",
    indicators="motet.data.targets.indicators:IndicatorTarget",
    tags="motet.data.targets.tags:TagTarget",
    none="motet.data.targets.none:NoTarget",
)
INPUTS = Registry(
    "input",
    "inputs",
    number="motet.data.inputs.number:Number",
    category="motet.data.inputs.category:Category",
    vector="motet.data.inputs.vector:Vector",
    text="motet.data.inputs.text:Text",
)
ENCODERS = Registry(
    "encoder",
    "encoders",
    mlp="motet.encoders.mlp:MLP",
    lstm="motet.encoders.lstm:LSTM",
    transformer="motet.encoders.transformer:Transformer",
    pretrained="motet.encoders.pretrained:Pretrained",
)
FUSIONS = Registry(
    "fusion",
    "fusions",
    concat="motet.encoders.fusion.concat:Concat",
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
    all="motet.scheduling.all:All",
)
SOURCES = Registry(
    "source",
    "sources",
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
    """Add a member of your own under a name that configs can use.

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
