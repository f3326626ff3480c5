//! `ringfleet credentials`: what it takes in lies sealed in the store, and nothing it prints is private.

use std::{path::Path, process::Output, time::Duration};

use ringfleet_identity::{KeyRing, Purpose};
use ringfleet_store::{DocCursor, DocKind, Expect};
use ringfleet_testkit::{Port, eventually};

use crate::{
    rig::{Ends, Rig, RigOptions},
    wishes::says,
};

const SHEET: &str = "extension_id,method,secret,secret_file,username,prefer,enabled\n\
    101,jwt,canary.jwt.one,,,,\n\
    101,password,\"canary, word\",,+15550177001,,no\n\
    102,code,,token.txt,,5,yes\n";

/// A rig whose commands and workers have a key file of their own and no accounts file.
pub(crate) struct Keyed {
    pub(crate) rig: Rig,
}

impl Keyed {
    pub(crate) async fn start(options: RigOptions) -> Self {
        let rig = Rig::start(options).await;
        let new = rig.run(&["credentials", "new-key"]);
        assert!(new.status.success());
        std::fs::write(rig.path("keys"), new.stdout).unwrap();
        Self { rig }
    }

    pub(crate) fn environment(&self) -> [(&'static str, String); 2] {
        let keys = self.rig.path("keys").display().to_string();
        [("RINGFLEET__RINGCENTRAL__ACCOUNTS_FILE", String::new()), ("RINGFLEET__IDENTITY__KEY_FILE", keys)]
    }

    /// Runs `ringfleet credentials …` with `input` on its standard input.
    pub(crate) fn run(&self, arguments: &[&str], input: &str) -> Output {
        let environment = self.environment();
        let environment: Vec<_> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.rig.run_with_input(&[&["credentials"], arguments].concat(), &environment, input)
    }

    /// Its standard output, after success.
    pub(crate) fn done(&self, arguments: &[&str], input: &str) -> String {
        let output = self.run(arguments, input);
        assert!(output.status.success(), "{arguments:?}: {}", told(&output));
        let told = told(&output);
        assert!(!told.contains("canary"), "{arguments:?} printed a secret: {told}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.rig.path(name), text).unwrap();
    }
}

/// All that a command printed.
pub(crate) fn told(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

async fn both_stores() -> [Keyed; 2] {
    let options = || RigOptions::new(1, Duration::from_secs(2));
    [Keyed::start(options()).await, Keyed::start(options().on_sqlite()).await]
}

/// Every byte that the store has written.
fn at_rest(rig: &Rig) -> Vec<u8> {
    let mut bytes = Vec::new();
    if rig.is_on_redis() {
        // The append-only file, which compresses nothing.
        read_all(rig.redis().dir(), &mut bytes);
    }
    for name in ["fleet.db", "fleet.db-wal"] {
        bytes.extend(std::fs::read(rig.path(name)).unwrap_or_default());
    }
    assert!(!bytes.is_empty());
    bytes
}

fn read_all(folder: &Path, bytes: &mut Vec<u8>) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        match entry.path() {
            path if path.is_dir() => read_all(&path, bytes),
            path => bytes.extend(std::fs::read(path).unwrap_or_default()),
        }
    }
}

fn holds(bytes: &[u8], what: &str) -> bool {
    bytes.windows(what.len()).any(|part| part == what.as_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_lie_in_the_store_sealed_only_and_no_command_prints_a_secret() {
    for fleet in both_stores().await {
        fleet.write("token.txt", "canary-refresh\n");
        fleet.write("logins.csv", SHEET);
        let first = fleet.done(&["import", "logins.csv"], "");
        assert!(first.contains("3 added, 0 replaced, 0 unchanged"), "{first}");
        fleet.done(&["add", "103", "--method", "jwt"], "canary.jwt.three");
        let list = fleet.done(&["list"], "");
        for part in ["101", "jwt", "password", "switched off", "102", "code", "103", "4 credentials of 3 extensions"] {
            assert!(list.contains(part), "{part} is missing in\n{list}");
        }
        let json: serde_json::Value = serde_json::from_str(&fleet.done(&["list", "--json"], "")).unwrap();
        assert_eq!(json["credentials"].as_array().unwrap().len(), 4);
        assert_eq!(json["credentials"][0]["secret"], "set");

        let bytes = at_rest(&fleet.rig);
        assert!(holds(&bytes, "main/101/jwt"), "the store's files are not where they were looked for");
        assert!(!holds(&bytes, "canary") && !holds(&bytes, "15550177001"), "a secret lies in the store in the clear");
        fleet.rig.finish(Ends::all()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_file_twice_changes_nothing_and_undoes_nothing() {
    for fleet in both_stores().await {
        fleet.write("token.txt", "canary-refresh\n");
        fleet.write("logins.csv", SHEET);
        let dry = fleet.done(&["import", "--dry-run", "logins.csv"], "");
        assert!(dry.contains("3 would be added"), "{dry}");
        assert!(fleet.done(&["list"], "").contains("there are no credentials"));
        fleet.done(&["import", "logins.csv"], "");
        // What a row leaves open is the operator's.
        fleet.done(&["disable", "101", "jwt"], "");
        fleet.done(&["prefer", "101", "jwt", "7"], "");
        let again = fleet.done(&["import", "logins.csv"], "");
        assert!(again.contains("0 added, 0 replaced, 3 unchanged"), "{again}");
        let list: serde_json::Value = serde_json::from_str(&fleet.done(&["list", "--json"], "")).unwrap();
        let jwt = list["credentials"].as_array().unwrap().iter().find(|row| row["method"] == "jwt").unwrap();
        assert_eq!((&jwt["enabled"], &jwt["prefer"]), (&false.into(), &7.into()));
        let unasked = fleet.run(&["remove", "101", "jwt"], "");
        assert_eq!(unasked.status.code(), Some(1), "{}", told(&unasked));
        fleet.done(&["remove", "101", "jwt", "--yes"], "");
        assert_eq!(fleet.run(&["remove", "101", "jwt", "--yes"], "").status.code(), Some(1));
        fleet.rig.finish(Ends::all()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_takes_a_login_away_is_told_which_one_is_used_from_then_on() {
    let fleet = Keyed::start(RigOptions::new(1, Duration::from_secs(2)).on_sqlite()).await;
    let extension = fleet.rig.accounts[0].extension_id.as_str();
    fleet.done(&["add", extension, "--method", "jwt"], "canary.jwt.one");
    fleet.done(&["add", extension, "--method", "password", "--username", "+15550177001"], "canary, word");
    let said = fleet.done(&["disable", extension, "jwt"], "");
    assert!(said.contains(&format!("`ringfleet credentials disable {extension} password`")), "{said}");
    let said = fleet.done(&["remove", extension, "password", "--yes"], "");
    assert!(!said.contains("is used from now on"), "{said}");
    // Where there is an accounts file, which the commands above were given none of.
    let keys = fleet.rig.path("keys").display().to_string();
    let environment = [("RINGFLEET__IDENTITY__KEY_FILE", keys.as_str())];
    let said = told(&fleet.rig.run_with(&["credentials", "remove", extension, "jwt", "--yes"], &environment));
    assert!(said.contains(&format!("the accounts file has a jwt login of extension {extension}")), "{said}");
    fleet.rig.finish(Ends::all()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn faulty_rows_are_told_together_and_the_good_ones_go_in() {
    let fleet = Keyed::start(RigOptions::new(1, Duration::from_secs(2)).on_sqlite()).await;
    fleet.write("bad.csv", "extension_id,method,secret\n101,jwt,canary jwt\n10 2,sso,canary\n103,jwt,canary.ok\n");
    let output = fleet.run(&["import", "bad.csv"], "");
    let text = told(&output);
    assert_eq!(output.status.code(), Some(3), "{text}");
    for part in
        ["line 2, column secret", "line 3, column extension_id", "line 3, column method", "1 added", "2 refused"]
    {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
    assert!(!text.contains("canary"), "{text}");
    let typed = fleet.run(&["add", "103", "--method", "jwt", "canary.jwt"], "");
    assert_eq!(typed.status.code(), Some(2));
    assert!(!told(&typed).contains("canary"), "{}", told(&typed));
    fleet.write("headless.csv", "101,jwt,canary\n");
    fleet.write("open.csv", "extension_id,method,secret\n104,jwt,\"canary.1\n105,jwt,canary.2\n");
    let open = fleet.run(&["import", "open.csv"], "");
    assert_eq!(open.status.code(), Some(1));
    let open = told(&open);
    assert!(open.contains("nothing was imported") && open.contains("on line 2") && !open.contains("canary"), "{open}");
    let headless = fleet.run(&["import", "headless.csv"], "");
    assert_eq!(headless.status.code(), Some(1));
    assert!(told(&headless).contains("name the columns") && !told(&headless).contains("canary"), "{}", told(&headless));
    fleet.rig.finish(Ends::all()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_takes_over_and_a_wrong_one_is_told_by_name() {
    for fleet in both_stores().await {
        fleet.done(&["add", "101", "--method", "jwt"], "canary.jwt.one");
        fleet.done(&["add", "102", "--method", "jwt"], "canary.jwt.two");
        let old = std::fs::read_to_string(fleet.rig.path("keys")).unwrap();
        let new = fleet.done(&["new-key"], "");

        fleet.write("keys", &format!("{new}{old}"));
        let turned = fleet.done(&["rotate-key"], "");
        assert!(turned.contains("2 sealed anew, 0 had it already"), "{turned}");
        let again = fleet.done(&["rotate-key"], "");
        assert!(again.contains("0 sealed anew, 2 had it already"), "{again}");

        fleet.write("keys", &old);
        let list = fleet.done(&["list"], "");
        let key = turned.split_whitespace().nth(1).unwrap();
        assert!(list.contains(&format!("sealed with key {key}")) && list.contains("identity.key_file"), "{list}");
        let wrong = fleet.run(&["rotate-key"], "");
        assert_eq!(wrong.status.code(), Some(3));
        assert!(told(&wrong).contains("2 could not be opened") && told(&wrong).contains("jwt of extension 101"));
        // A lost key is mended by bringing the logins in again.
        fleet.done(&["add", "101", "--method", "jwt"], "canary.jwt.one");
        fleet.write("keys", &new);
        let mended = fleet.done(&["list"], "");
        assert!(mended.contains("in use") && mended.contains("unusable"), "{mended}");

        fleet.write("keys", "canary-that-is-no-key\n");
        let broken = fleet.run(&["list"], "");
        assert_eq!(broken.status.code(), Some(64), "{}", told(&broken));
        assert!(told(&broken).contains("keys") && !told(&broken).contains("canary"), "{}", told(&broken));
        fleet.rig.finish(Ends::all()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_in_needs_the_old_key_until_it_ends_and_the_change_of_keys_says_so() {
    let mut fleet = Keyed::start(RigOptions::new(1, Duration::from_secs(2)).on_sqlite()).await;
    let account = fleet.rig.accounts[0].clone();
    fleet.done(&["add", &account.extension_id, "--method", "jwt"], &account.jwt);
    let environment = fleet.environment();
    let environment: Vec<_> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    fleet.rig.start_worker_with(&[&environment[..], &[("RINGFLEET__INBOUND__POLL", "1s")]].concat());
    says(&fleet.rig, "Is the appointment at nine?").await;
    let listed = || told(&fleet.rig.run_with(&["inbound", "list"], &environment)).contains("characters)");
    eventually(Duration::from_secs(60), async || listed()).await;

    let old = std::fs::read_to_string(fleet.rig.path("keys")).unwrap();
    let new = fleet.done(&["new-key"], "");
    fleet.write("keys", &format!("{new}{old}"));
    let turned = fleet.run(&["rotate-key"], "");
    assert_eq!(turned.status.code(), Some(3), "{}", told(&turned));
    assert!(told(&turned).contains("of what came in that need the older keys"), "{}", told(&turned));
    assert!(told(&turned).contains("(inbound.retention): 1") && listed());

    // The end of its time.
    let kept = fleet.rig.store.docs_since(DocKind::Inbound, &DocCursor::default(), 10).await.unwrap();
    for doc in &kept.changed {
        fleet.rig.store.doc_put(DocKind::Inbound, &doc.key, Expect::Anything, None, None).await.unwrap();
    }
    assert!(fleet.done(&["rotate-key"], "").contains("older keys are not needed"));
    fleet.rig.finish(Ends::all()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_secrets_of_webhooks_are_sealed_anew_before_the_old_key_is_called_needless() {
    let mut fleet = Keyed::start(RigOptions::new(1, Duration::from_secs(2)).on_sqlite()).await;
    let account = fleet.rig.accounts[0].clone();
    fleet.done(&["add", &account.extension_id, "--method", "jwt"], &account.jwt);
    let environment = fleet.environment();
    let environment: Vec<_> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let port = Port::hold();
    let listen = port.address();
    let hears = [("RINGFLEET__INBOUND__LISTEN", listen.as_str()), ("RINGFLEET__INBOUND__POLL", "1h")];
    fleet.rig.start_worker_with(&[&environment[..], &hears].concat());
    let key = format!("main/{}", account.extension_id);
    let store = fleet.rig.store.clone();
    let record = async || store.doc_get(DocKind::Subscription, &key).await.unwrap();
    let opened = |keys: &str, sealed: &[u8]| {
        let plain = KeyRing::from_text(keys).unwrap().open(Purpose::Subscription { key: &key }, sealed);
        plain.map(|plain| plain.to_vec())
    };
    let old = std::fs::read_to_string(fleet.rig.path("keys")).unwrap();
    // It is written twice: before the provider is asked, and with the id that it has given.
    eventually(Duration::from_secs(60), async || {
        let has_id = |plain: Vec<u8>| String::from_utf8(plain).unwrap().contains("\"id\"");
        record().await.is_some_and(|doc| opened(&old, &doc.body).is_ok_and(has_id))
    })
    .await;
    fleet.rig.kill_worker(0);
    let before = record().await.unwrap();

    let new = fleet.done(&["new-key"], "");
    fleet.write("keys", &format!("{new}{old}"));
    let turned = fleet.done(&["rotate-key"], "");
    assert!(
        turned.contains("webhooks: 1 of their records") && turned.contains("older keys are not needed"),
        "{turned}"
    );
    let after = record().await.unwrap();
    assert_eq!(opened(&new, &after.body), opened(&old, &before.body));
    assert!(fleet.done(&["rotate-key"], "").contains("webhooks: 0 of their records"));
    fleet.rig.finish(Ends::all()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_up_in_which_nobody_can_log_in_is_told_by_the_check_of_the_settings() {
    for fleet in both_stores().await {
        let check = || {
            let environment = fleet.environment();
            let environment: Vec<_> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let output = fleet.rig.run_with(&["config", "check"], &environment);
            assert!(output.status.success(), "{}", told(&output));
            told(&output)
        };
        assert!(
            check().contains("nobody can log in yet") && check().contains("ringfleet credentials add"),
            "{}",
            check()
        );
        fleet.done(&["add", "101", "--method", "jwt"], "canary.jwt.one");
        assert!(!check().contains("nobody can log in"), "{}", check());
        fleet.rig.finish(Ends::all()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_that_come_in_while_the_fleet_runs_take_effect_without_a_restart_and_so_does_a_new_key() {
    for mut fleet in both_stores().await {
        let environment = fleet.environment();
        let environment: Vec<_> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        fleet.rig.start_worker_with(&environment);
        fleet.rig.enqueue(0, 30, None).await;
        let account = fleet.rig.accounts[0].clone();
        fleet.write(
            "logins.csv",
            &format!("extension_id,method,secret\n{},jwt,{}\n", account.extension_id, account.jwt),
        );
        fleet.done(&["import", "logins.csv"], "");
        fleet.rig.until_ended(30, Duration::from_secs(60)).await;

        let old = std::fs::read_to_string(fleet.rig.path("keys")).unwrap();
        let new = fleet.done(&["new-key"], "");
        fleet.rig.enqueue_named(0, 60, None, "during the change").await;
        fleet.write("keys", &format!("{old}{new}"));
        fleet.write("keys", &format!("{new}{old}"));
        assert!(fleet.done(&["rotate-key"], "").contains("1 sealed anew"));
        fleet.rig.until_ended(90, Duration::from_secs(60)).await;
        let bytes = at_rest(&fleet.rig);
        assert!(!holds(&bytes, &account.jwt), "a JWT lies in the store in the clear");
        assert_eq!(fleet.rig.finish(Ends::all()).await.report.accepted, 90);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_whose_key_comes_later_is_used_as_soon_as_the_key_is_there() {
    let mut fleet = Keyed::start(RigOptions::new(1, Duration::from_secs(2)).on_sqlite()).await;
    let environment = fleet.environment();
    let environment: Vec<_> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    fleet.rig.start_worker_with(&environment);
    fleet.rig.enqueue(0, 3, None).await;
    let new = fleet.done(&["new-key"], "");
    fleet.write("new-keys", &new);
    let account = fleet.rig.accounts[0].clone();
    let elsewhere = fleet.rig.path("new-keys").display().to_string();
    let elsewhere = [environment[0], ("RINGFLEET__IDENTITY__KEY_FILE", elsewhere.as_str())];
    let add = ["credentials", "add", account.extension_id.as_str(), "--method", "jwt"];
    let added = fleet.rig.run_with_input(&add, &elsewhere, &account.jwt);
    assert!(added.status.success(), "{}", told(&added));
    eventually(Duration::from_secs(20), async || fleet.rig.logs().contains("a credential can't be used")).await;
    let old = std::fs::read_to_string(fleet.rig.path("keys")).unwrap();
    fleet.write("keys", &format!("{old}{new}"));
    fleet.rig.until_ended(3, Duration::from_secs(20)).await;
    fleet.rig.finish(Ends::all()).await;
}
