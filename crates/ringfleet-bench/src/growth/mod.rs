//! What it costs as it grows: 1, 10 and 100 shards, up to 1,000,000 extensions at full plan. A model on paper, a simulation of the
//! same in small steps, and a look at what both say of the sizes that this machine can hold.
//!
//! The constants are this sitting's own figures. A shard stands for one Redis with a core of its own.

mod model;
mod simulation;

use anyhow::Context;

use self::model::{Constants, Model};
use crate::{
    figure::{Book, shown},
    options::Bench,
    queue::OURS,
    sends,
    sitting::Sitting,
};

pub(crate) const USE_BY_MODEL: &str = "quota used, by the model";
pub(crate) const USE_SIMULATED: &str = "quota used, simulated";
pub(crate) const CHECK_MODEL: &str = "sends of one machine, by the model";
pub(crate) const CHECK_MEASURED: &str = "sends of one machine, measured";

/// Worker processes that both are told of, as the case says, and the bench's name for what was measured.
const CHECKED: [(u32, &str, &str); 2] =
    [(1, "one worker process", sends::RATE), (2, "two worker processes", sends::RATE_OF_TWO)];

pub(crate) const SHARDS: [u32; 3] = [1, 10, 100];
pub(crate) const EXTENSIONS: [u64; 4] = [1_000, 10_000, 100_000, 1_000_000];

pub(crate) fn run(sitting: &Sitting) -> anyhow::Result<()> {
    let constants = Constants::of(&sitting.book())
        .context("the model needs the figures of `queue` and `sends`: let them run in the same sitting")?;
    check(sitting, &constants);
    for shards in SHARDS {
        for extensions in EXTENSIONS {
            let model = Model { constants, shards, extensions };
            let case = sitting.case(Bench::Growth, OURS);
            let case = case.when(format!("{shards} shards, {} extensions", shown(extensions as f64)));
            let case = case.at(extensions as f64).with(constants.words());
            case.note("sends at full plan", "sends/s", model.rate());
            case.note("Redis commands", "commands/s", model.commands_per_s());
            case.note("load of the busiest shard", "cores", model.busiest_shard());
            case.note("Redis memory of all shards", "GiB", model.memory_gib());
            case.note("worker processes, answers at once", "processes", model.workers(0.0));
            case.note("worker processes, answers in 250 ms", "processes", model.workers(sends::SLOW.as_secs_f64()));
            case.note(USE_BY_MODEL, "of the plan", model.quota_use());
            case.note(USE_SIMULATED, "of the plan", simulation::quota_use(&model));
        }
        let case = sitting.case(Bench::Growth, OURS).when(format!("{shards} shards")).with(constants.words());
        case.note("extensions at the first wall (Redis CPU)", "extensions", Model::wall(&constants, shards));
    }
    Ok(())
}

/// How far the model is from what this machine has shown, in words.
pub(crate) fn verdict(book: &Book) -> Option<String> {
    let mut checks = Vec::new();
    for (_, case, _) in CHECKED {
        let of = |name| book.median(Bench::Growth, name, OURS, case);
        let Some((model, measured)) = of(CHECK_MODEL).zip(of(CHECK_MEASURED)) else { continue };
        let off = (model / measured - 1.0) * 100.0;
        let way = if off < 0.0 { "too low" } else { "too high" };
        let (model, measured) = (shown(model), shown(measured));
        checks.push(format!(
            "{case}: {model} texts a second by the model, {measured} measured, {:.0} % {way}",
            off.abs()
        ));
    }
    (!checks.is_empty()).then(|| {
        format!(
            "The check, on one machine whose cores they share and where they wait for each other: {}. Of a fleet of several machines \
             nothing was measured.",
            checks.join("; ")
        )
    })
}

/// The model's word on this machine beside what it has shown: worker, Redis and simulator share its cores.
fn check(sitting: &Sitting, constants: &Constants) {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    for (workers, case, measured) in CHECKED {
        let Some(measured) = sitting.book().median(Bench::Sends, measured, OURS, "") else { continue };
        let case = sitting.case(Bench::Growth, OURS).when(case);
        let case = case.with(format!("{cores} cores shared by worker, Redis and simulator; a Redis uses one at most"));
        case.note(CHECK_MODEL, "sends/s", constants.on_one_machine(cores, workers));
        case.note(CHECK_MEASURED, "sends/s", measured);
    }
}
