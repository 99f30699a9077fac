"""Records are facts; as mappings they are the lines of ``metrics.jsonl``."""

from motet.training import EpochRecord, EvaluationRecord, StepRecord, TestRecord

MOMENT = {"step": 50, "epoch": 2, "seconds": 1.5, "learning_rate": 0.1}
TASKS = {"a": {"loss": 1.0}}


def test_a_step_has_cosines_status_and_penalty_only_if_they_are_known():
    plain = StepRecord(balancer="equal", gradient_norm=2.0, tasks=TASKS, **MOMENT)
    assert list(plain.as_dict().items()) == [
        ("event", "step"),
        ("step", 50),
        ("epoch", 2),
        ("split", "train"),
        ("balancer", "equal"),
        ("gradient_norm", 2.0),
        ("seconds", 1.5),
        ("tasks", TASKS),
        ("learning_rate", 0.1),
    ]
    more = {"cosines": [[1.0]], "status": "solved", "penalty": 0.0}
    full = StepRecord(balancer="upgrad", gradient_norm=2.0, tasks=TASKS, **more, **MOMENT)
    assert list(full.as_dict())[6:9] == ["cosines", "status", "penalty"]


def test_an_epoch_reports_what_is_trained_only_if_something_was_frozen():
    plain = EpochRecord(skipped=0, balancer="equal", tasks=TASKS, **MOMENT)
    assert list(plain.as_dict()) == [
        *("event", "step", "epoch", "split", "skipped", "balancer"),
        *("seconds", "tasks", "learning_rate"),
    ]
    frozen = EpochRecord(skipped=0, balancer="equal", trained={}, tasks=TASKS, **MOMENT)
    assert frozen.as_dict()["trained"] == {}


def test_an_evaluation_that_is_not_the_best_says_so():
    found = EvaluationRecord(
        event="epoch", score=0.0, monitored=0.0, best=False, tasks=TASKS, **MOMENT
    ).as_dict()
    assert found["best"] is False
    assert found["score"] == 0.0
    assert "notes" not in found


def test_the_test_has_no_learning_rate():
    found = TestRecord(step=50, epoch=2, seconds=1.5, tasks=TASKS, score=0.5).as_dict()
    assert list(found) == ["event", "step", "epoch", "split", "seconds", "tasks", "score"]
