//! Lanes by the words that an operator types.

use std::{process::Output, sync::Arc, time::Duration};

use ringfleet_identity::{
    KeyRing, Vault,
    directory::{Claims, Follower},
};
use ringfleet_testkit::eventually;

use crate::{
    credential_commands::Keyed,
    rig::{Ends, Rig, RigOptions, Waiting},
};

const REFRESH: (&str, &str) = ("RINGFLEET__DIRECTORY__REFRESH", "2s");

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_is_paused_by_any_name_of_its_extension_and_no_other_word_makes_one() {
    let rig = Rig::start(RigOptions::new(2, Duration::from_secs(2)).on_sqlite()).await;
    let number = rig.accounts[0].numbers[0].clone();
    rig.keep_secret([number.clone()]);
    let (id, short) = (rig.accounts[1].extension_id.clone(), rig.accounts[1].extension_number.clone());
    let paused = async |extension: usize| rig.store.lane(&rig.lane(extension)).await.unwrap().paused;

    for word in ["999", "+15559999999", "not a word"] {
        for command in [&["lane", "pause"][..], &["lane", "resume"], &["message", "waiting"], &["explain"]] {
            let output = rig.run(&[command, &[word]].concat());
            let told = told(&output);
            assert_eq!(output.status.code(), Some(1), "{told}");
            let remedy = told.contains("`ringfleet extensions list`") || told.contains("give the id");
            assert!(remedy && told.contains("no lane was touched") == (command[0] == "lane"), "{told}");
        }
    }
    assert!(rig.run(&["lane", "pause", &number]).status.success());
    assert!(paused(0).await && !paused(1).await);
    assert!(rig.run(&["lane", "resume", &number]).status.success());
    assert!(!paused(0).await);

    // An extension number is known when a worker has read it.
    let worker = rig.spawn(&["worker"], &[REFRESH]);
    eventually(Duration::from_secs(30), async || rig.run_with(&["lane", "pause", &short], &[REFRESH]).status.success())
        .await;
    assert!(paused(1).await && !paused(0).await);
    let explained = told(&rig.run_with(&["explain", &short], &[REFRESH]));
    assert!(explained.contains(&format!("extension {id}: ")) && explained.contains("paused"), "{explained}");
    assert!(worker.end().success());

    // Where nobody is known any more, a lane that stands is still there under its id.
    let nobody: [(&str, &str); 3] = [
        ("RINGFLEET__RINGCENTRAL__ACCOUNTS_FILE", ""),
        ("RINGFLEET__RINGCENTRAL__CLIENT_SECRET", ""),
        ("RINGFLEET__IDENTITY__KEY_FILE", "/nonexistent"),
    ];
    let output = rig.run_with(&["lane", "resume", &short], &nobody);
    assert!(!output.status.success(), "{}", told(&output));
    let explained = told(&rig.run_with(&["explain", &id], &nobody));
    assert!(explained.contains(&format!("extension {id}: ")) && explained.contains("paused"), "{explained}");
    let output = rig.run_with(&["lane", "resume", &id], &nobody);
    assert!(output.status.success() && told(&output).contains(&id), "{}", told(&output));
    assert!(!paused(1).await);
    rig.finish(Ends::all()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn extensions_that_are_parked_are_listed_as_such_also_when_more_wait_than_the_store_tells_of_at_once() {
    const EXTENSIONS: usize = 503;
    for sqlite in [true, false] {
        let options = RigOptions::new(EXTENSIONS as u32, Duration::from_secs(2));
        let rig = Rig::start(if sqlite { options.on_sqlite() } else { options }).await;
        for extension in 0..EXTENSIONS {
            rig.enqueue(extension, 1, None).await;
            rig.store.set_parked(&rig.lane(extension), Some("CMN-401")).await.unwrap();
        }
        let list = told(&rig.run(&["extensions", "list", "--wrong"]));
        assert_eq!(list.matches("parked: CMN-401").count(), EXTENSIONS, "{list}");
        rig.finish(Ends::waiting(Waiting::Exactly(EXTENSIONS as u64), "no worker is started")).await;
    }
}

/// A login under an extension number, added before the fleet knew whose it is.
#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_was_taken_for_an_id_means_two_until_the_login_is_taken_out_again() {
    let mut fleet = Keyed::start(RigOptions::new(1, Duration::from_secs(2)).on_sqlite()).await;
    let account = fleet.rig.accounts[0].clone();
    let (id, short) = (account.extension_id.as_str(), account.extension_number.as_str());
    for word in [short, id] {
        fleet.done(&["add", word, "--method", "jwt"], &account.jwt);
    }
    let environment = fleet.environment();
    let environment: Vec<_> =
        environment.iter().map(|(name, value)| (*name, value.as_str())).chain([REFRESH]).collect();
    fleet.rig.start_worker_with(&environment);
    let keys = Arc::new(KeyRing::from_file(fleet.rig.path("keys")).unwrap());
    let vault = Vault::new(fleet.rig.store.clone(), keys, "main");
    let named = async || {
        let (directory, _) = Follower::start(&vault, Claims::default()).await.unwrap();
        directory.book().named(short).into_iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let paused = async || fleet.rig.store.lane(&fleet.rig.lane(0)).await.unwrap().paused;
    eventually(Duration::from_secs(30), async || named().await == [short, id]).await;
    let output = fleet.rig.run_with(&["lane", "pause", short], &environment);
    assert!(!output.status.success() && told(&output).contains(id), "{}", told(&output));

    fleet.done(&["remove", short, "jwt", "--yes"], "");
    eventually(Duration::from_secs(30), async || named().await == [id]).await;
    let again = told(&fleet.run(&["add", short, "--method", "jwt"], &account.jwt));
    assert!(again.contains(&format!("{short} is the number of extension {id}; write its id")), "{again}");
    let output = fleet.rig.run_with(&["lane", "pause", short], &environment);
    assert!(output.status.success() && paused().await, "{}", told(&output));

    std::fs::write(fleet.rig.path("mistaken.json"), format!(r#"[{{"extension_id": "{short}"}}]"#)).unwrap();
    let file = fleet.rig.path("mistaken.json").display().to_string();
    let of_file = [&environment[..], &[("RINGFLEET__RINGCENTRAL__ACCOUNTS_FILE", &file)]].concat();
    let worker = fleet.rig.spawn(&["worker"], &of_file);
    let warning = format!("accounts_file: extension_id {short} is the number of extension {id}; write its id");
    eventually(Duration::from_secs(30), async || fleet.rig.log(worker.log()).contains(&warning)).await;
    assert!(worker.end().success());
    fleet.rig.finish(Ends::all()).await;
}
