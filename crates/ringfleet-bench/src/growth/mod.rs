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
    sitting::Sitting,
};

pub(crate) const USE_BY_MODEL: &str = "quota used, by the model";
pub(crate) const USE_SIMULATED: &str = "quota used, simulated";
pub(crate) const CHECK_MODEL: &str = "sends of one machine, by the model";
pub(crate) const CHECK_MEASURED: &str = "sends of one machine, measured";

/// The case of both.
const ONE_WORKER: &str = "one worker process";

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
            case.note("worker processes", "processes", model.workers());
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
    let of = |name| book.median(Bench::Growth, name, OURS, ONE_WORKER);
    let (model, measured) = (of(CHECK_MODEL)?, of(CHECK_MEASURED)?);
    let off = format!("{:.0} %", (model / measured - 1.0).abs() * 100.0);
    let way = if model < measured {
        format!("{off} too low for that")
    } else {
        format!("{off} too high for that, as it knows no time in which a core waits")
    };
    Some(format!(
        "The check: by the model one worker process sends {} texts a second here, and it has sent {}. So the model is {way}. \
         Of a fleet of several machines nothing was measured.",
        shown(model),
        shown(measured)
    ))
}

/// The model's word on this machine beside what it has shown: worker, Redis and simulator share its cores.
fn check(sitting: &Sitting, constants: &Constants) {
    let cores = std::thread::available_parallelism().map_or(1.0, |cores| cores.get() as f64);
    let case = sitting.case(Bench::Growth, OURS).when(ONE_WORKER);
    let case = case.with(format!("{cores} cores shared by worker, Redis and simulator; a Redis uses one at most"));
    case.note(CHECK_MODEL, "sends/s", constants.on_one_machine(cores));
    case.note(CHECK_MEASURED, "sends/s", constants.measured_rate);
}
