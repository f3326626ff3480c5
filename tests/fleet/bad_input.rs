//! Bad input: a clear error that names field, value and remedy; nothing enqueued, nothing lost.

use std::time::Duration;

use ringfleet_testkit::Port;

use crate::{
    credential_commands::told,
    rig::{Ends, Rig, RigOptions, Waiting},
};

#[tokio::test(flavor = "multi_thread")]
async fn every_bad_row_is_listed_with_line_column_and_reason_and_the_good_ones_go_in_once() {
    let rig = Rig::start(RigOptions::new(1, Duration::from_secs(2)).on_sqlite()).await;
    let from = &rig.accounts[0].numbers[0];
    let long = "x".repeat(1_001);
    let rows = format!(
        "from,to,text,send_at,send_by,priority,key\n\
         {from},+15552000001,good one,,,,k1\n\
         {from},+15552000002,,,,,\n\
         {from},+15552000003,{long},,,,\n\
         {from},5552000004,without plus,,,,\n\
         +15559999999,+15552000005,unknown sender,,,,\n\
         {from},+15552000006,too late,,2020-01-01T00:00:00Z,,\n\
         {from},+15552000007,what priority,,,urgent,\n\
         {from},+15552000001,not the good one,,,,k1\n\
         {from},+15552000008,another good one,,,high,\n"
    );
    let texts = [
        "good one",
        "without plus",
        "unknown sender",
        "too late",
        "what priority",
        "not the good one",
        "another good one",
    ];
    rig.keep_secret(texts.map(str::to_owned).into_iter().chain([long]));
    rig.keep_secret(
        (1..=8).map(|n| format!("+1555200000{n}")).chain(["5552000004".to_owned(), "+15559999999".to_owned()]),
    );
    let file = rig.path("bad.csv");
    std::fs::write(&file, rows).unwrap();
    let import = rig.run(&["import", file.to_str().unwrap()]);
    let told = String::from_utf8_lossy(&import.stdout);
    assert_eq!(import.status.code(), Some(3), "{told}{}", String::from_utf8_lossy(&import.stderr));
    for (line, column) in
        [(3, "text"), (4, "text"), (5, "to"), (6, "from"), (7, "send_by"), (8, "priority"), (9, "key")]
    {
        let found = told.lines().any(|told| told.starts_with(&format!("line {line}, {column}")));
        assert!(found, "line {line}, {column} is not told:\n{told}");
    }
    assert!(told.contains("1001") || told.contains("1,001"), "the length is not told:\n{told}");
    assert!(!told.contains("5552000004") && !told.contains("unknown sender"), "something private is told:\n{told}");
    assert_eq!(rig.stats().await.total(), 2);

    let again = rig.run(&["import", file.to_str().unwrap()]);
    assert_eq!(again.status.code(), Some(3));
    assert_eq!(rig.stats().await.total(), 2, "the same file twice enqueued something twice");
    rig.handed_in_elsewhere(2);
    rig.finish(Ends::waiting(Waiting::Exactly(2), "no worker is started")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_that_ends_at_an_open_quotation_mark_says_nowhere_that_rows_were_imported() {
    let rig = Rig::start(RigOptions::new(1, Duration::from_secs(2)).on_sqlite()).await;
    let from = &rig.accounts[0].numbers[0];
    let rows = format!("from,to,text\n{from},+15552000001,it\u{2019}s fine\n{from},+15552000002,\"never closed\n");
    rig.keep_secret(["+15552000001", "+15552000002", "never closed"].map(str::to_owned));
    std::fs::write(rig.path("open.csv"), rows).unwrap();
    let output = rig.run(&["import", "--dry-run", "open.csv"]);
    let told = told(&output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("1 texts, 1 segments; 1 hold characters outside GSM-7 (first: line 2, U+2019)"), "{told}");
    for part in ["1 are good", "nothing was enqueued", "dry run", "line 3", "not closed", "from that line on"] {
        assert!(told.contains(part), "{part} is not told:\n{told}");
    }
    assert!(!told.contains("imported"), "{told}");
    rig.finish(Ends::all()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_faults_of_a_file_are_written_down_where_they_are_too_many_to_be_listed() {
    let rig = Rig::start(RigOptions::new(1, Duration::from_secs(2)).on_sqlite()).await;
    let from = &rig.accounts[0].numbers[0];
    let rows: String = (0..1_500).map(|n| format!("{from},555200{n:04},the plus is missing\n")).collect();
    rig.keep_secret(["5552000000", "the plus is missing"].map(str::to_owned));
    std::fs::write(rig.path("bad.csv"), format!("from,to,text\n{rows}")).unwrap();
    let listed = told(&rig.run(&["import", "bad.csv"]));
    assert!(listed.contains("1400 more faults, not listed; --faults FILE"), "{listed}");

    let written = rig.run(&["import", "bad.csv", "--faults", "faults.jsonl"]);
    assert_eq!(written.status.code(), Some(3), "{}", told(&written));
    let faults = std::fs::read_to_string(rig.path("faults.jsonl")).unwrap();
    let lines = faults.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["line"].as_u64());
    assert_eq!(lines.collect::<Vec<_>>(), (2..1_502).map(Some).collect::<Vec<_>>());

    // What is there already is not written over, be it the file itself.
    for there in ["faults.jsonl", "bad.csv"] {
        let before = std::fs::read(rig.path(there)).unwrap();
        let refused = rig.run(&["import", "bad.csv", "--faults", there]);
        assert_eq!(refused.status.code(), Some(1), "{}", told(&refused));
        assert!(std::fs::read(rig.path(there)).unwrap() == before, "{there} was changed");
    }
    rig.finish(Ends::all()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ids_of_an_import_are_written_to_a_new_file_of_its_owner_in_the_order_of_its_rows() {
    let rig = Rig::start(RigOptions::new(1, Duration::from_secs(2)).on_sqlite()).await;
    let from = &rig.accounts[0].numbers[0];
    let rows: String = (0..1_200).map(|n| format!("{from},+155520{n:05},canary text,visit-canary-{n}\n")).collect();
    std::fs::write(rig.path("good.csv"), format!("from,to,text,key\n{from},12,canary text,\n{rows}")).unwrap();
    rig.keep_secret(["+15552000007", "canary text", "visit-canary-"]);
    rig.handed_in_elsewhere(1_200);
    let ids = |name: &str, status: &str| -> Vec<String> {
        let output = rig.run(&["import", "good.csv", "--results", name]);
        assert_eq!(output.status.code(), Some(3), "one row is refused: {}", told(&output));
        let text = std::fs::read_to_string(rig.path(name)).unwrap();
        let row = |(n, line): (usize, &str)| {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!((row["line"].as_u64(), row["status"].as_str()), (Some(n as u64 + 3), Some(status)), "{row}");
            row["id"].as_str().unwrap().to_owned()
        };
        text.lines().enumerate().map(row).collect()
    };
    let first = ids("first.jsonl", "accepted");
    assert_eq!((first.len(), &ids("again.jsonl", "duplicate")), (1_200, &first));
    assert!(rig.store.get(&first[1_199].parse().unwrap()).await.unwrap().is_some());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(rig.path("first.jsonl")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{mode:o}");
    }
    let before = std::fs::read(rig.path("first.jsonl")).unwrap();
    let refused = rig.run(&["import", "good.csv", "--results", "first.jsonl"]);
    assert!(refused.status.code() == Some(1) && told(&refused).contains("name another --results"), "{refused:?}");
    assert!(std::fs::read(rig.path("first.jsonl")).unwrap() == before);
    let dry = rig.run(&["import", "good.csv", "--dry-run", "--results", "dry.jsonl"]);
    assert!(dry.status.code() == Some(2) && told(&dry).contains("cannot be used with"), "{dry:?}");
    assert!(!rig.path("dry.jsonl").exists());
    rig.finish(Ends::waiting(Waiting::Exactly(1_200), "no worker is started")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_faults_of_a_configuration_are_told_at_once_and_the_exit_code_says_that_a_restart_cannot_help() {
    let rig = Rig::start(RigOptions::new(1, Duration::from_secs(2)).on_sqlite()).await;
    let wrong = [
        ("RINGFLEET__WORKER__LEASE", "soon"),
        ("RINGFLEET__API__LISTEN", "0.0.0.0:8480"),
        ("RINGFLEET__RINGCENTRAL__SERVER", "ftp://example.com"),
        ("RINGFLEET_API_KEYS", "only-for-the-simulator"),
    ];
    rig.keep_secret(["only-for-the-simulator"].map(str::to_owned));
    let check = rig.run_with(&["config", "check"], &wrong);
    let told = String::from_utf8_lossy(&check.stderr);
    assert_eq!(check.status.code(), Some(64), "{told}");
    for part in ["worker.lease", "api.listen", "ringcentral.server", "RINGFLEET_API_KEYS"] {
        assert!(told.contains(part), "{part} is not told:\n{told}");
    }
    rig.finish(Ends::all()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_for_which_a_worker_ends_with_64_is_told_at_once_by_the_check_of_the_settings() {
    let rig = Rig::start(RigOptions::new(1, Duration::from_secs(2)).on_sqlite()).await;
    let wrong = [
        ("RINGFLEET__RINGCENTRAL__CLIENT_ID", "", "ringcentral.client_id"),
        ("RINGFLEET__RINGCENTRAL__CLIENT_SECRET", "", "ringcentral.client_secret"),
        ("RINGFLEET__RINGCENTRAL__ACCOUNTS_FILE", "missing.json", "ringcentral.accounts_file"),
        ("RINGFLEET__STORE__URL", "redis://10.0.0.1", "store.url"),
        ("RINGFLEET__IDENTITY__KEY_FILE", "missing.key", "identity.key_file"),
    ];
    for (name, value, setting) in wrong {
        let worker = rig.run_with(&["worker"], &[(name, value)]);
        assert_eq!(worker.status.code(), Some(64), "{}", told(&worker));
        assert!(told(&worker).contains(setting), "{setting} is not told:\n{}", told(&worker));
    }
    let all = wrong.map(|(name, value, _)| (name, value));
    let check = rig.run_with(&["config", "check"], &[&all[..], &[("RINGFLEET__WORKER__LEASE", "soon")]].concat());
    assert_eq!(check.status.code(), Some(64), "{}", told(&check));
    for setting in wrong.map(|(_, _, setting)| setting).into_iter().chain(["worker.lease", "needed by `worker`"]) {
        assert!(told(&check).contains(setting), "{setting} is not told:\n{}", told(&check));
    }
    let check = rig.run(&["config", "check"]);
    assert!(check.status.success() && told(&check).contains("in order"), "{}", told(&check));
    rig.finish(Ends::all()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_not_there_is_told_with_its_own_exit_code() {
    let rig = Rig::start(RigOptions::new(1, Duration::from_secs(2)).on_sqlite()).await;
    let nobody = Port::hold();
    let url = format!("redis://user:canary-password@{}", nobody.address());
    rig.keep_secret(["canary-password"]);
    let status = rig.run_with(&["status"], &[("RINGFLEET__STORE__URL", &url)]);
    let told = String::from_utf8_lossy(&status.stderr);
    assert_eq!(status.status.code(), Some(69), "{told}");
    let at = format!("Redis at {}: connection refused", nobody.address());
    for part in [at.as_str(), "is Redis running there?", "store.url", "`ringfleet doctor`"] {
        assert!(told.contains(part), "{part} is not told:\n{told}");
    }
    rig.finish(Ends::all()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_needs_no_folder_for_files_of_its_own_and_a_dry_run_says_that_it_does() {
    let rig = Rig::start(RigOptions::new(1, Duration::from_secs(2))).await;
    rig.keep_secret(["one reminder", "+15552000001"]);
    std::fs::write(
        rig.path("one.csv"),
        format!("from,to,text\n{},+15552000001,one reminder\n", rig.accounts[0].numbers[0]),
    )
    .unwrap();
    let nowhere = [("TMPDIR", "/nowhere/to/write")];
    let import = rig.run_with(&["import", "one.csv"], &nowhere);
    assert!(import.status.success(), "{}", told(&import));
    rig.handed_in_elsewhere(1);
    let dry = rig.run_with(&["import", "one.csv", "--dry-run"], &nowhere);
    assert_eq!(dry.status.code(), Some(1), "{}", told(&dry));
    assert!(told(&dry).contains("can't make a folder for the dry run"), "{}", told(&dry));
    rig.finish(Ends::waiting(Waiting::Exactly(1), "no worker is started")).await;
}
