//! Commands that are given in the wrong folder, or before there is a store.

use std::{process::Output, time::Duration};

use ringfleet_testkit::eventually;

use crate::{
    credential_commands::told,
    rig::{Ends, Rig, RigOptions},
};

const ID: &str = "msg_00000000000000000000000000";

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A rig, and where its commands look for an SQLite file that nobody has made.
async fn elsewhere() -> (Rig, [(&'static str, String); 2]) {
    let rig = Rig::start(RigOptions::new(1, Duration::from_secs(2)).on_sqlite()).await;
    rig.keep_secret(["+15552000001", "canary.jwt.one", "canary text"]);
    let data = rig.path("elsewhere").display().to_string();
    (rig, [("RINGFLEET__STORE__URL", String::new()), ("RINGFLEET__STORE__DATA_DIR", data)])
}

#[tokio::test(flavor = "multi_thread")]
async fn what_looks_or_operates_makes_no_store_and_says_where_it_has_looked_for_one() {
    let (rig, settings) = elsewhere().await;
    let settings = settings.each_ref().map(|(name, value)| (*name, value.as_str()));
    let (folder, id) = (rig.path("elsewhere"), rig.accounts[0].extension_id.clone());
    let looks: [&[&str]; 21] = [
        &["fleet", "stop"],
        &["fleet", "resume"],
        &["lane", "pause", &id],
        &["lane", "cancel", &id, "--yes"],
        &["status"],
        &["status", "--json"],
        &["explain", &id],
        &["explain", ID],
        &["held", "list"],
        &["held", "resend", ID, "--yes"],
        &["message", "list", "--state", "dead"],
        &["message", "dead"],
        &["message", "waiting", &id],
        &["message", "cancel", ID],
        &["credentials", "list"],
        &["credentials", "check", "--all"],
        &["extensions", "list"],
        &["extensions", "refresh"],
        &["inbound", "list"],
        &["opt-out", "list"],
        &["opt-out", "remove", "+15552000001"],
    ];
    for command in looks {
        let output = rig.run_with(command, &settings);
        assert_eq!((output.status.code(), &*stdout(&output)), (Some(64), ""), "{command:?}: {}", told(&output));
        let at = format!("store.data_dir: there is no store at sqlite:{}", folder.join("ringfleet.db").display());
        for part in [&*at, "--config", "store.url"] {
            assert!(told(&output).contains(part), "{command:?}: {part} is missing in {}", told(&output));
        }
        assert!(!folder.exists(), "{command:?} has made something");
    }
    assert!(rig.run_with(&["config", "check"], &settings).status.success());

    // These have something to say all the same.
    let row = format!("from,to,text\n{},+15552000001,canary text\n", rig.accounts[0].numbers[0]);
    std::fs::write(rig.path("one.csv"), row).unwrap();
    std::fs::write(rig.path("logins.csv"), format!("extension_id,method,secret\n{id},jwt,canary.jwt.one\n")).unwrap();
    for (command, says) in [
        (&["import", "one.csv", "--dry-run"][..], "1 are good"),
        (&["credentials", "import", "logins.csv", "--dry-run"], "1 would be added"),
    ] {
        let output = rig.run_with(command, &settings);
        assert!(output.status.success() && stdout(&output).contains(says), "{command:?}: {}", told(&output));
        assert!(!folder.exists(), "{command:?} has made something");
    }
    let doctor = rig.run_with(&["doctor"], &settings);
    let (says, at) = (stdout(&doctor), format!("none at sqlite:{}", folder.display()));
    // Wrapping must not matter.
    let says = says.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(doctor.status.code() == Some(1) && says.contains(&at) && says.contains("--config"), "{says}");
    assert!(!folder.exists(), "the doctor has changed something");
    rig.finish(Ends::all()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_brings_something_in_makes_the_store_and_a_key_is_made_where_something_is_sealed() {
    let (rig, settings) = elsewhere().await;
    let settings = settings.each_ref().map(|(name, value)| (*name, value.as_str()));
    let file = |name: &str| rig.path("elsewhere").join(name);
    let add = rig.run_with(&["opt-out", "add", "+15552000001"], &settings);
    assert!(add.status.success() && file("ringfleet.db").exists(), "{}", told(&add));
    for command in [&["credentials", "list"][..], &["extensions", "list"], &["inbound", "list"], &["status"]] {
        let output = rig.run_with(command, &settings);
        assert!(output.status.success(), "{command:?}: {}", told(&output));
    }
    let doctor = rig.run_with(&["doctor"], &settings);
    assert!(doctor.status.code() == Some(1) && told(&doctor).contains("ringfleet.key"), "{}", told(&doctor));
    assert!(!file("ringfleet.key").exists(), "a look has made a key");

    let id = &*rig.accounts[0].extension_id;
    let add = rig.run_with_input(&["credentials", "add", id, "--method", "jwt"], &settings, "canary.jwt.one");
    assert!(add.status.success() && file("ringfleet.key").exists(), "{}", told(&add));
    rig.finish(Ends::all()).await;
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_lies_in_memory_is_warned_of_and_one_on_a_disk_is_not() {
    let (rig, [url, (data_dir, on_disk)]) = elsewhere().await;
    let row = format!("from,to,text\n{},+15552000001,canary text\n", rig.accounts[0].numbers[0]);
    std::fs::write(rig.path("one.csv"), row).unwrap();
    let imported = |data: &str| {
        let output = rig.run_with(&["import", "one.csv"], &[(url.0, &url.1), (data_dir, data)]);
        assert!(output.status.success(), "{}", told(&output));
        told(&output)
    };
    let memory = tempfile::tempdir_in("/dev/shm").unwrap();
    let in_memory = memory.path().display().to_string();
    let warned = imported(&in_memory);
    for part in ["in memory (tmpfs)", "store.data_dir", &*in_memory] {
        assert!(warned.contains(part), "{part} is missing in {warned}");
    }
    // A disk, or a folder for temporary files.
    assert!(!imported(&on_disk).contains("in memory"));
    rig.finish(Ends::all()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_names_the_store_and_warns_where_no_worker_has_shown_itself() {
    for options in [RigOptions::new(1, Duration::from_secs(2)), RigOptions::new(1, Duration::from_secs(2)).on_sqlite()]
    {
        let mut rig = Rig::start(options).await;
        let place = match rig.is_on_redis() {
            true => "(store redis://127.0.0.1:".to_owned(),
            false => format!("(store sqlite:{})", rig.path("fleet.db").display()),
        };
        let extension = rig.accounts[0].extension_id.clone();
        let warns = |output: &Output| told(output).contains("no worker has shown itself in this store");
        let stop = rig.run(&["fleet", "stop"]);
        assert!(stop.status.success() && warns(&stop), "{}", told(&stop));
        for command in [&["lane", "pause", &extension][..], &["lane", "resume", &extension], &["fleet", "resume"]] {
            let output = rig.run(command);
            assert!(output.status.success() && stdout(&output).contains(&place), "{command:?}: {}", told(&output));
        }
        rig.start_workers(1);
        eventually(Duration::from_secs(20), async || !warns(&rig.run(&["fleet", "stop"]))).await;
        assert!(rig.run(&["fleet", "resume"]).status.success());
        rig.finish(Ends::all()).await;
    }
}
