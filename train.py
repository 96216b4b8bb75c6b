"""Train a method: compose -> seed -> data module -> method -> callbacks -> fit -> test -> metrics.

python train.py experiment=poly_inr/digits [run_dir=...] [max_kimg=...] [seed=...] [resume=never|auto|<checkpoint>]
python train.py -m seed=0,1,2 ...              every combination, each in a process and a folder of its own
torchrun --nproc_per_node=8 train.py trainer=ddp ...      or srun: docs/launching.md
"""

from __future__ import annotations

from launch.start import announce

if __name__ == "__main__":
    announce("train.py")  # before the imports, which take seconds

import time

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from launch.compose import name_experiment, plain
from launch.errors import one_line_errors
from launch.ranks import started_ranks
from launch.train.folder_lock import FolderLock
from launch.train.multirun import check_command_line, is_multirun, run_trial


def train(config: DictConfig) -> dict[str, float]:
    """One run from start, or from where it stopped, to its image budget; returns what was measured last."""
    with FolderLock() as lock:  # until the end no other start may write to the run's folder
        return train_alone(config, lock)


def train_alone(config: DictConfig, lock: FolderLock) -> dict[str, float]:
    """The run of ``train``, which holds ``lock`` on its folder."""
    # Imported here so that help and misspelt settings answer at once.
    from hydra.utils import instantiate
    from lightning.pytorch import Trainer, seed_everything

    from callbacks.measured import all_measured
    from launch.build import ask_the_data, build
    from launch.checkpoint import AtomicCheckpointIO
    from launch.constructors import check_constructor_calls
    from launch.quiet import quiet
    from launch.threads import use_threads
    from launch.train.failures import recorded_failures
    from launch.train.run_folder import agree_on_run_folder, check_settings, save_config
    from launch.train.strategy import check_trainer
    from launch.train.summary import finish, print_summary

    quiet()
    started = time.perf_counter()
    ranks = started_ranks()
    with ranks.together():
        check_settings(config)
        ask_the_data(config)
        ranks.check_same(plain(config))
        run = agree_on_run_folder(plain(config), ranks, lock)
        if run.is_finished:
            return finish(run, max_kimg=config.max_kimg) if ranks.rank == 0 else {}
        OmegaConf.update(config, "run_dir", str(run.path))
        settings = plain(config)
        check_constructor_calls(settings)

        use_threads(config.num_threads)
        seed_everything(config.seed, verbose=False)
        datamodule, method = build(settings)
        trainer: Trainer = instantiate(settings["trainer"], _partial_=True, _convert_="all")(
            default_root_dir=str(run.path),
            callbacks=[instantiate(callback, _convert_="all") for callback in settings["callbacks"].values()],
            logger=[instantiate(logger, _convert_="all") for logger in settings["logger"].values()],
            plugins=[AtomicCheckpointIO(), ranks.environment()],
        )
        ranks.check_fits(trainer)
        check_trainer(trainer, settings["trainer"])
    if trainer.is_global_zero:
        save_config(run.path, settings)
    for logger in trainer.loggers:
        logger.log_hyperparams(settings)

    with run.shared_with_children(), recorded_failures(run, trainer, method):
        if not run.is_trained:
            trainer.fit(method, datamodule, ckpt_path=run.resume_from, weights_only=True)
        tested = run.resume_from if run.is_trained else None  # None: the weights as they are now
        with run.test_stage(marks=trainer.is_global_zero):
            trainer.test(method, datamodule, ckpt_path=tested, verbose=False, weights_only=True)
    if trainer.is_global_zero:
        print_summary(run, trainer, method, seconds=time.perf_counter() - started)
    return all_measured(trainer)


@hydra.main(version_base="1.3", config_path="configs", config_name="train")
def run_from_command_line(config: DictConfig) -> None:
    if is_multirun():
        run_trial(__file__)
    else:
        with one_line_errors():
            train(name_experiment(config, HydraConfig.get().runtime.choices))


def main() -> None:
    announce("train.py")  # also where an installed command imports this file
    with one_line_errors():
        with started_ranks().together():
            check_command_line("train")
        run_from_command_line()


if __name__ == "__main__":
    main()
