# ruff: noqa: E501  # an override and its message read best on one line
"""What users of other libraries type leads, hint by hint, to an override that is valid."""

import re

import pytest

from motet.config import ConfigError, read
from motet.config.yaml_positions import parse_value

BASE = {
    "data": {"source": "table.csv"},
    "tasks": {
        "churn": "classification",
        "spend": {"type": "regression", "head": "mlp"},
        "tags": {"type": "sequence_labelling"},
    },
    "inputs": {"age": "number", "review": "text"},
}


def complaint(override):
    """Return the message about an override, or None if it is valid."""
    try:
        read(BASE, [override])
    except ConfigError as error:
        return str(error.problems[0]).partition("'  ")[2]
    return None


def follow(override, message):
    """Type what a message proposes."""
    key, _, value = override.partition("=")
    where = message.partition(": ")[0]
    for pattern in (r"unknown key; did you mean '(\w+)'\?", r"unknown key; did you mean ([\w.]+)"):
        if match := re.search(pattern, message):
            here = where.rpartition(".")[0] if "mean '" in match[0] else ""
            full = ".".join(filter(None, [here, match[1]]))
            return f"{full}{key.removeprefix(where)}={value}"
    match = re.search(r"(?:did you mean '(.+)'\?|write (.+))$", message)
    assert match, message
    new = (match[1] or match[2]).partition(", without quotes")[0].partition(" for ")[0]
    rest = where.removeprefix(key).strip(".")
    if rest.isdigit():  # an entry of a list
        entries = parse_value(value)
        entries[int(rest)] = new
        return f"{key}=[{', '.join(map(str, entries))}]"
    return f"{where}={new}"


TYPED = """\
training.learning_rate=0.01            training.optimizer.learning_rate=0.01
learning_rate=0.01                     training.optimizer.learning_rate=0.01
lr=0.01                                training.optimizer.learning_rate=0.01
training.lr=0.01                       training.optimizer.learning_rate=0.01
training.optimizer.lr=0.01             training.optimizer.learning_rate=0.01
optimizer.lr=0.01                      training.optimizer.learning_rate=0.01
trainer.lr=0.01                        training.optimizer.learning_rate=0.01
batchsize=64                           training.batch_size=64
batchSize=64                           training.batch_size=64
training.batch-size=64                 training.batch_size=64
training.bs=64                         training.batch_size=64
n_epochs=3                             training.epochs=3
num_epochs=3                           training.epochs=3
max_epochs=3                           training.epochs=3
training.max_epochs=3                  training.epochs=3
trainer.max_epochs=3                   training.epochs=3
train.epochs=3                         training.epochs=3
fit.epohcs=3                           training.epochs=3
--epochs=3                             training.epochs=3
weight_decay=0.1                       training.optimizer.weight_decay=0.1
training.weight_decay=0.1              training.optimizer.weight_decay=0.1
training.wd=0.1                        training.optimizer.weight_decay=0.1
dropout=0.2                            model.encoder.dropout=0.2
model.dropout=0.2                      model.encoder.dropout=0.2
training.dropout=0.2                   model.encoder.dropout=0.2
model.encoder.dropout_rate=0.2         model.encoder.dropout=0.2
model.encoder.dropout=50               model.encoder.dropout=0.5
tasks.churn.dropout=0.2                tasks.churn.head.dropout=0.2
inputs.review.dropout=0.2              inputs.review.encoder.dropout=0.2
inputs.review.max_len=20               inputs.review.max_length=20
inputs.review.hidden_size=20           inputs.review.encoder.width=20
inputs.review.encoder.hidden_size=20   inputs.review.encoder.width=20
inputs.review.num_layers=2             inputs.review.encoder.layers=2
inputs.review.tokenizer=word           inputs.review.tokenizer=words
inputs.review.tokenizer=WordPiece      inputs.review.tokenizer=wordpiece
inputs.review.encoder=gru              inputs.review.encoder=lstm
hidden=[64]                            model.encoder.hidden=[64]
model.hidden=[64]                      model.encoder.hidden=[64]
model.layers=[64,32]                   model.encoder.hidden=[64,32]
model.encoder.layers=[64,32]           model.encoder.hidden=[64,32]
model.encoder.units=64                 model.encoder.hidden=[64]
model.encoder.hidden=64                model.encoder.hidden=[64]
model.encoder.hidden=64,32             model.encoder.hidden=[64, 32]
model.encoder.activation=ReLU          model.encoder.activation=relu
model.encoder.activation=swish         model.encoder.activation=silu
tasks.churn.hidden=[64]                tasks.churn.head.hidden=[64]
tasks.churn.head=[64]                  tasks.churn.head={hidden: [64]}
patience=3                             training.early_stopping.patience=3
training.patience=3                    training.early_stopping.patience=3
early_stopping_patience=3              training.early_stopping.patience=3
training.early_stopping_patience=3     training.early_stopping.patience=3
training.early_stopping=20             training.early_stopping={patience: 20}
training.early_stopping=true           training.early_stopping={patience: 5}
training.early_stopping=none           training.early_stopping=null
training.early_stopping=None           training.early_stopping=null
training.early_stopping=false          training.early_stopping=null
training.clip_norm=off                 training.clip_norm=null
optimizer=adam                         training.optimizer=adam
training.optimizer=Adam                training.optimizer=adam
training.optimizer=0.01                training.optimizer={learning_rate: 0.01}
training.optimizer.name=adam           training.optimizer.type=adam
training.optimizer.betas=0.9           training.optimizer.betas=[0.9, 0.999]
loss_weights=2                         tasks.churn.weight=2
weights=2                              tasks.churn.weight=2
training.loss_weights=2                tasks.churn.weight=2
loss=focal                             tasks.churn.loss=focal
metrics=f1                             tasks.churn.metrics=[macro_f1]
seed=3                                 training.seed=3
random_state=3                         training.seed=3
logger=wandb                           training.loggers=[wandb]
training.random_seed=3                 training.seed=3
device=cpu                             training.device=cpu
gpu=true                               training.device=cuda
training.device=gpu                    training.device=cuda
training.device=0                      training.device=cuda:0
training.device=cuda1                  training.device=cuda:1
scheduler=cosine                       training.lr_schedule=cosine
training.lr_scheduler=StepLR           training.lr_schedule=step
training.lr_schedule=none              training.lr_schedule=constant
training.lr_schedule=null              training.lr_schedule=constant
training.lr_schedule=cosine_annealing  training.lr_schedule=cosine
training.lr_schedule={step: {drops: 3}}  training.lr_schedule={type: step, drops: 3}
model.type=mmoe                        model.sharing=mmoe
model.type=mlp                         model.encoder=mlp
model=mmoe                             model={sharing: mmoe}
model=mlp                              model={encoder: mlp}
model.architecture=shared_bottom       model.sharing=hard
model.backbone=mlp                     model.encoder=mlp
sharing=mmoe                           model.sharing=mmoe
model.sharing=shared_bottom            model.sharing=hard
model.sharing=HPS                      model.sharing=hard
model.sharing=MTAN                     model.sharing=attention
model.sharing=mmoe_                    model.sharing=mmoe
balancer=pcgrad                        balancing=pcgrad
weighting=uw                           balancing=uncertainty
balancing=uw                           balancing=uncertainty
balancing=gradvaccine                  balancing=gradvac
balancing=nashmtl                      balancing=nash
balancing=dwa_                         balancing=dwa
balancing=linear_scalarization         balancing=equal
balancing=ls                           balancing=equal
balancing=RLW                          balancing=random
balancing=PCGrad                       balancing=pcgrad
balancing=none                         balancing=equal
balancing=null                         balancing=equal
inputs.age=numeric                     inputs.age=number
inputs.age=float                       inputs.age=number
inputs.age=categorical                 inputs.age=category
tasks.churn=binary                     tasks.churn=classification
tasks.churn.type=binary_classification  tasks.churn.type=classification
tasks.spend=number                     tasks.spend=regression
tasks.tags=ner                         tasks.tags=sequence_labelling
tasks.churn.metrics=[acc, auc]         tasks.churn.metrics=[accuracy, auroc]
tasks.churn.metrics=accuracy           tasks.churn.metrics=[accuracy]
tasks.spend.metrics=[mse]              tasks.spend.metrics=[rmse]
tasks.spend.loss=l1                    tasks.spend.loss=mae
tasks.churn.loss=bce                   tasks.churn.loss=cross_entropy
tasks.churn.class_weight=balanced      tasks.churn.class_weights=balanced
tasks.churn.class_weights=balance      tasks.churn.class_weights=balanced
tasks.churn.label_smoothing=10%        tasks.churn.label_smoothing=0.1
data=table.csv                         data={source: table.csv}
data.path=table.csv                    data.source=table.csv
data.split=0.2                         data.split={test: 0.2}
data.split=[0.7, 0.2, 0.1]             data.split={validation: 0.2, test: 0.1}
data.split.val=0.2                     data.split.validation=0.2
data.split.validation=20               data.split.validation=0.2
data.split.test_size=0.2               data.split.test=0.2
data.validation_split=0.2              data.split.validation=0.2
test_size=0.2                          data.split.test=0.2
training.epochs="3"                    training.epochs=3
training.epochs=3,000                  training.epochs=3000
training=20                            training={epochs: 20}
training.gradient_clip_val=1           training.clip_norm=1
training.accumulate_grad_batches=4     training.accumulate=4
training.precision=16                  training.precision=float16
training.amp=true                      training.precision=bfloat16
training.torch_compile=true            training.compile=true
training.monitor=val_loss              training.monitor=loss
training.monitor=accuracy              training.monitor=mean
training.monitor=chrun                 training.monitor=churn
training.evaluate_every=epochs         training.evaluate_every=epoch
training.evaluate_every=2 epochs       training.evaluate_every={epochs: 2}
training.freeze=encoder                training.freeze=[encoder]
training.unfreeze=3                    training.unfreeze={every: 3}
training.cache_frozen=yes              training.cache_frozen=true
"""
PAIRS = [re.split("  +", line) for line in TYPED.splitlines()]


@pytest.mark.parametrize(("typed", "right"), PAIRS, ids=[typed for typed, _ in PAIRS])
def test_following_the_hints_ends_at_the_override_that_was_meant(typed, right):
    for _ in range(5):
        message = complaint(typed)
        if message is None:
            break
        typed = follow(typed, message)
    assert typed == right


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("training.momentum=0.9", "did you mean training.optimizer.momentum, with type: sgd or rmsprop?"),
        ("model.sharing={type: hard, experts: 4}", "it is an option of mmoe, cgc, ple or dselect_k; hard has type, shared_layers"),
        ("model.sharing={experts: 4}", "expected {type: hard | soft | mmoe | cgc | ple | dselect_k | routing | progressive | attention | cross_stitch}; experts belongs to mmoe, cgc, ple or dselect_k"),
        ("training.lr_schedule={name: step}", "did you mean 'type'?"),
        ("training.lr_schedule.warmup=0.1", "; the default is type: cosine"),
        ("model.mmoe={experts: 4}", "unknown key; write sharing: {type: mmoe, ...}"),
        ("tasks.churn.column_name=x", "did you mean 'column'?"),
        ("data.split.columns=part", "did you mean 'column'?"),
        ("training.num_workers=4", "how rows are read needs no setting"),
        ("training.wandb=true", "unknown key; write training: {loggers: [wandb]}"),
        ("output_dir=runs", "given as --output FOLDER on the command line"),
        ("training.shuffle=true", "shuffled in every epoch"),
        ("training={epochs=3}", "write epochs: 3, with a colon and a space"),
        ("banana=1", "unknown key; known: data, inputs, tasks, model, balancing, scheduling, training"),
        ("inputs.review.tokenizer=bert-base-uncased", "or the path of a file or folder; there is no such file"),
        ("data.split=random", "remove it; then rows are split at random"),
        ("inputs=all", "remove it; then every column that is not a target is an input"),
        ("tasks=[churn, spend]", "write {churn: TYPE, spend: TYPE}, each TYPE one of classification, regression"),
        ("inputs=[age, review]", "write {age: TYPE, review: TYPE}, each TYPE one of number, category, vector, "),
        ("inputs=[{name: age, type: numerical}, {name: review, type: text, max_length: 9}]", "write {age: {type: number}, review: {type: text, max_length: 9}}"),
        ("loss_weights={churn: 2}", "did you mean tasks.churn.weight, and the same for each task?"),
    ],
)  # fmt: skip
def test_a_hint_says_where_a_key_lives_or_what_to_do_instead(override, expected):
    assert expected in complaint(override)


def test_an_option_of_inputs_that_are_left_out_is_named_with_their_type():
    config = {key: value for key, value in BASE.items() if key != "inputs"}
    with pytest.raises(ConfigError, match=r"did you mean inputs\.NAME\.tokenizer, of a text input"):
        read(config, ["tokenizer=words"])


def test_an_override_with_a_colon_is_proposed_with_the_sign_it_needs():
    with pytest.raises(ValueError, match=r"expected key=value; write training\.epochs=3"):
        read(BASE, ["training.epochs: 3"])


def test_a_thousand_unknown_keys_are_explained_each_for_itself():
    inputs = {f"x{place}": {"type": "number", "scalling": "standard"} for place in range(300)}
    with pytest.raises(ConfigError) as caught:
        read({**BASE, "inputs": inputs})
    assert len(caught.value.problems) == 300
    assert all("did you mean 'scaling'?" in str(each) for each in caught.value.problems)
