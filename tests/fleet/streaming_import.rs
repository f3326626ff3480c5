//! An import of any size needs the same memory.

use std::{
    io::Write,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::rig::{Ends, Rig, RigOptions, Waiting, peak_memory_kib};

fn write_rows(rig: &Rig, name: &str, rows: u32) -> PathBuf {
    let path = rig.path(name);
    let mut file = std::io::BufWriter::new(std::fs::File::create(&path).unwrap());
    writeln!(file, "from,to,text").unwrap();
    let padding = "See you soon. ".repeat(15);
    for n in 0..rows {
        let from = &rig.accounts[(n % 10) as usize].numbers[0];
        writeln!(file, "{from},+1555{:07},{name} {n}: {padding}", n % 10_000_000).unwrap();
    }
    file.flush().unwrap();
    rig.handed_in_elsewhere(rows.into());
    // The head of every text, so that none of them is printed.
    rig.keep_secret([format!("{name} "), padding]);
    path
}

/// Imports the file in a process of its own and gives its peak memory in KiB.
async fn import(rig: &Rig, file: &Path) -> u64 {
    let mut import = rig.spawn(&["import", file.to_str().unwrap(), "--json"], &[]);
    let mut peak = 0;
    let deadline = std::time::Instant::now() + Duration::from_secs(120);
    loop {
        peak = peak_memory_kib(import.child.id()).unwrap_or(0).max(peak);
        if let Some(status) = import.child.try_wait().unwrap() {
            assert!(status.success(), "{status}");
            return peak;
        }
        assert!(std::time::Instant::now() < deadline, "the import takes too long");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_rows_are_imported_in_the_memory_of_ten_thousand() {
    let rig = Rig::start(RigOptions::new(10, Duration::from_secs(2))).await;
    let small = write_rows(&rig, "few rows", 10_000);
    let large = write_rows(&rig, "many rows", 100_000);
    let few = import(&rig, &small).await;
    let start = std::time::Instant::now();
    let many = import(&rig, &large).await;
    let took = start.elapsed();
    assert_eq!(rig.stats().await.total(), 110_000);
    eprintln!("peak {few} KiB for 10,000 rows, {many} KiB for 100,000 in {took:?}");
    assert!(many < few + few / 4 + 4_096, "{few} KiB for 10,000 rows, {many} KiB for 100,000");
    rig.finish(Ends::waiting(Waiting::Exactly(110_000), "no worker is started")).await;
}
