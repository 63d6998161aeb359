"""Every name in optim_args reaches the optimizer, or is refused."""

import pytest

from pipeline.errors import InputError


@pytest.mark.parametrize(
    ("optim", "text", "words"),
    [
        ("adamw_torch", "amsgrad=True", "amsgrad=True changes nothing of optim adamw_torch; leave it out"),
        ("adamw_torch_fused", "foo=bar", "foo=bar changes nothing"),
        ("sgd", "momentum=0.9,lr=5", "lr is not read: use --learning_rate"),
        ("sgd", "momentum=0.9,weight_decay=0.3", "weight_decay is not read: use --weight_decay"),
        ("sgd", "momentum=0.9,foo=1", "foo=1 changes nothing of optim sgd"),
        ("sgd", "momentum=0.9,nesterov=yess", "nesterov is 'yess'; it must be true or false"),
        ("sgd", "momentum=0.9,momentum=0.1", "names momentum twice"),
        ("sgd", "momentum=nan", "momentum is nan; it must be a finite number"),
        ("sgd", "momentum=-Infinity", "momentum is -Infinity; it must be a finite number"),
        ("sgd", "momentum", "write NAME=VALUE,NAME=VALUE"),
        ("sgd", "momentum=0.9,", "write NAME=VALUE,NAME=VALUE"),
        ("rmsprop", "nesterov=true", "nesterov=true changes nothing of optim rmsprop"),
        ("adafactor", "decay_rate=0.1", "decay_rate=0.1 changes nothing of optim adafactor"),
    ],
)
def test_a_name_that_changes_nothing_of_the_optimizer_is_refused(
    trainer_of, tiny, on_cpu, optim: str, text: str, words: str
) -> None:
    with pytest.raises(InputError, match=f"^optim_args.*{words}"):
        trainer_of(tiny(optim=optim, optim_args=text)).create_optimizer()


@pytest.mark.parametrize(
    ("optim", "text", "reached"),
    [
        ("sgd", "momentum=0.9, nesterov=true", {"momentum": 0.9, "nesterov": True}),
        ("rmsprop", "alpha=0.5,centered=no", {"alpha": 0.5, "centered": False}),
        ("adagrad", "lr_decay=0.25", {"lr_decay": 0.25}),
    ],
)
def test_a_name_that_the_optimizer_takes_reaches_it(trainer_of, tiny, on_cpu, optim, text, reached: dict) -> None:
    groups = trainer_of(tiny(optim=optim, optim_args=text)).create_optimizer().param_groups
    assert all(group[name] == value for group in groups for name, value in reached.items())
