"""Search for a better training configuration (Optuna, extra `tune`): trials that may be cut off and go on.

Each trial is a fit on the episodes of `data.train`, judged by what its choices forgo on `data.validation`; the episodes
under `data.report` are not simulated. Episodes are simulated once for all trials.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from meshsim.lab.progress import bar
from meshsim.lab.training import EPISODES, episodes
from meshsim.learn.config import USES, Shape, TrainConfig, load_config
from meshsim.learn.course import How, identity
from meshsim.learn.dataset import load
from meshsim.learn.fit import SMOOTHED, fit
from meshsim.mesh.errors import ConfigError, MissingExtra

if TYPE_CHECKING:
    from pathlib import Path

    import optuna

    from meshsim.learn.course import Epoch
    from meshsim.learn.dataset import Dataset

JOURNAL = "study.log"
_BELONGS = "belongs"


class _Range(NamedTuple):
    low: float
    high: float
    log: bool = True


SPACE = {
    "learning_rate": _Range(3e-4, 1e-2),
    "weight_decay": _Range(1e-3, 0.5),
    "regression_weight": _Range(0.1, 10.0),
    "choice_weight": _Range(0.1, 10.0),
    "temperature": _Range(0.02, 0.5),
    "dropout": _Range(0.0, 0.5, log=False),
    "link_dropout": _Range(0.0, 0.8, log=False),
    "blur": _Range(0.0, 2.0, log=False),
}
"""What is searched of `optimisation`, and between which bounds."""
STATES, BATCHES = (8, 16, 32), (4, 8, 16, 32)
"""What is searched of `model.state` and `optimisation.views_per_batch`."""


class Tuned(NamedTuple):
    """What a study has found so far.

    Attributes:
        configuration: The whole configuration of the best trial, plain values for YAML.
        forgone: Mean utility that its choices forgo on the validation calls.
        usual: That of the configuration as it was, which is the first trial.
        trials: How many came to an end, those given up early among them.
        pruned: How many were given up early.
    """

    configuration: dict[str, Any]
    forgone: float
    usual: float
    trials: int
    pruned: int


def tune(config: Path, study: Path, *, trials: int, progress: bool = True) -> Tuned:
    """Runs trials until the study has `trials` of them that came to an end.

    Args:
        config: A training configuration; the first trial takes it as it is.
        study: Folder of the study and its episodes; what is there goes on.
        trials: How many there are to be, those before among them.
        progress: Whether bars may show.

    Raises:
        ConfigError: If the configuration is wrong, or the study is of another one, or of other episodes.
        MissingExtra: Without optuna.
    """
    plan = load_config(config)
    if not isinstance(plan.model, Shape):
        raise ConfigError("only graph networks are tuned", key="model.kind", allowed=("graph",))
    try:
        import optuna  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise MissingExtra("optuna", "tune") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    data = _data(plan, study, progress=progress)
    opened = _opened(plan, study, data)
    with bar(f"tuning {plan.name}", of=trials, shown=progress) as advance:
        while (ended := _ended(opened)) < trials:
            advance(ended / trials)
            opened.optimize(_Objective(plan, *data), n_trials=1, catch=())
    return _told(plan, opened)


def _data(plan: TrainConfig, study: Path, *, progress: bool) -> tuple[Dataset, Dataset]:
    wanted = [one for one in plan.wanted() if one.split in {"train", "validation"}]
    with bar(f"simulating for {plan.name}", of=len(wanted), shown=progress) as advance:
        traces = episodes(wanted, study / EPISODES, advance)
    train = load(traces["train"], use=USES["train"], every=plan.data.every)
    return train, load(traces["validation"], use=USES["validation"])


def _opened(plan: TrainConfig, folder: Path, data: tuple[Dataset, Dataset]) -> optuna.Study:
    """The study in `folder`; what was cut off in it is asked for again."""
    import optuna  # noqa: PLC0415 - an extra
    from optuna.storages.journal import JournalFileBackend  # noqa: PLC0415 - as above

    backend = JournalFileBackend(str(folder / JOURNAL))
    study = optuna.create_study(
        study_name=plan.name,
        storage=optuna.storages.JournalStorage(backend),
        direction="minimize",
        load_if_exists=True,
        pruner=optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=SMOOTHED),
    )
    # as many draws as there were trials are not drawn again: a study that goes on does not try the same once more
    study.sampler = optuna.samplers.TPESampler(seed=plan.seed + len(study.trials), n_startup_trials=8)
    belongs = identity(plan, *data, processes=1)
    if study.user_attrs.get(_BELONGS, belongs) != belongs:
        raise ConfigError("the study is of another configuration or of other episodes", file=str(folder / JOURNAL))
    if _BELONGS not in study.user_attrs:
        study.set_user_attr(_BELONGS, belongs)
        study.enqueue_trial(_as_it_is(plan))
    for trial in study.get_trials(states=(optuna.trial.TrialState.RUNNING,)):
        study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
        study.enqueue_trial(trial.params)
    return study


def _as_it_is(plan: TrainConfig) -> dict[str, Any]:
    """The configuration's own values, moved into the bounds."""
    own: dict[str, Any] = {
        name: min(max(getattr(plan.optimisation, name), bounds.low), bounds.high) for name, bounds in SPACE.items()
    }
    choices = {"state": (plan.model.state, STATES), "views_per_batch": (plan.optimisation.views_per_batch, BATCHES)}  # type: ignore[union-attr]  # a graph network
    return own | {name: min(among, key=lambda one: abs(one - value)) for name, (value, among) in choices.items()}


class _Objective:
    """One trial: a fit with what the study proposes."""

    def __init__(self, plan: TrainConfig, train: Dataset, validation: Dataset) -> None:
        self.plan, self.train, self.validation = plan, train, validation

    def __call__(self, trial: optuna.Trial) -> float:
        import optuna  # noqa: PLC0415 - an extra

        def told(epoch: Epoch) -> None:
            trial.report(epoch.validation, epoch.number)
            if trial.should_prune():
                raise optuna.TrialPruned

        proposed = {
            name: trial.suggest_float(name, bounds.low, bounds.high, log=bounds.log) for name, bounds in SPACE.items()
        }
        proposed["state"] = trial.suggest_categorical("state", STATES)
        proposed["views_per_batch"] = trial.suggest_categorical("views_per_batch", BATCHES)
        fitted = fit(changed(self.plan, proposed), self.train, self.validation, how=How(told=told))
        last = [epoch.validation for epoch in fitted.history[: fitted.best][-SMOOTHED:]]
        return sum(last) / len(last)


def changed(plan: TrainConfig, proposed: dict[str, Any]) -> TrainConfig:
    """`plan` with what a trial proposes, checked like any configuration."""
    said = plan.model_dump(mode="json")
    said["model"]["state"] = proposed["state"]
    said["optimisation"] |= {name: value for name, value in proposed.items() if name != "state"}
    return TrainConfig.model_validate(said)


def _ended(study: optuna.Study) -> int:
    return sum(trial.state.name in {"COMPLETE", "PRUNED"} for trial in study.get_trials(deepcopy=False))


def _told(plan: TrainConfig, study: optuna.Study) -> Tuned:
    trials = study.get_trials(deepcopy=False)
    first = next(trial for trial in trials if trial.state.name == "COMPLETE")
    return Tuned(
        configuration=changed(plan, study.best_params).model_dump(mode="json"),
        forgone=study.best_value,
        usual=float(first.value or 0.0),
        trials=_ended(study),
        pruned=sum(trial.state.name == "PRUNED" for trial in trials),
    )
