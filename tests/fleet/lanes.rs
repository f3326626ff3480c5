//! Lanes by the words that an operator types.

use std::{process::Output, time::Duration};

use ringfleet_testkit::eventually;

use crate::rig::{Ends, Rig, RigOptions, Waiting};

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_is_paused_by_any_name_of_its_extension_and_no_other_word_makes_one() {
    const REFRESH: (&str, &str) = ("RINGFLEET__DIRECTORY__REFRESH", "2s");
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
            assert!(remedy && told.contains("no lane was touched"), "{told}");
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
