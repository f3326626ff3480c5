//! What a guard can do to its server, against real ones.

#![allow(clippy::unwrap_used, reason = "in a test the place of a panic says what went wrong")]

use std::{
    panic,
    time::{Duration, SystemTime},
};

use redis::{Client, Commands, Connection, Script, TlsCertificates};
use ringfleet_testkit::RedisServer;

fn link(url: &str) -> Connection {
    Client::open(url).unwrap().get_connection().unwrap()
}

/// Seconds by which the server is ahead of this machine.
fn ahead(link: &mut Connection) -> i64 {
    let (theirs, _): (i64, i64) = redis::cmd("TIME").query(link).unwrap();
    theirs - i64::try_from(SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap()
}

#[test]
fn a_frozen_server_keeps_silent_and_thawed_does_what_it_was_told() {
    let mut server = RedisServer::start();
    let mut link = link(&server.url());
    let _: () = link.set("key", 1).unwrap();
    server.freeze();
    assert!(server.is_running());
    link.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    assert!(link.incr::<_, _, u32>("key", 1).unwrap_err().is_timeout());
    server.thaw();
    assert_eq!(self::link(&server.url()).get::<_, u32>("key").unwrap(), 2);
    server.freeze();
    server.stop();
    assert!(!server.is_running());
    server.restart();
    server.freeze();
    server.kill();
    server.restart();
    assert_eq!(self::link(&server.url()).get::<_, Option<u32>>("key").unwrap(), None);
}

#[test]
fn forgotten_commands_are_the_last_ones_and_a_script_is_one() {
    let mut server = RedisServer::builder().append_only().start();
    let url = server.url();
    let mut first = link(&url);
    for n in 1..=3 {
        let _: () = first.set("key", n).unwrap();
    }
    let script = Script::new("redis.call('SET', 'a', 1) redis.call('SET', 'b', 1) return 1");
    let _: u32 = script.invoke(&mut first).unwrap();
    server.forget_last_commands(1);
    assert!(!server.is_running());
    server.restart();
    let mut second = link(&url);
    assert_eq!(second.get::<_, Option<u32>>("a").unwrap(), None);
    assert_eq!(second.get::<_, Option<u32>>("b").unwrap(), None);
    assert_eq!(second.get::<_, u32>("key").unwrap(), 3);
    let _: u32 = script.invoke(&mut second).unwrap();
    let _: () = second.set("key", 4).unwrap();
    server.forget_last_commands(3);
    server.restart();
    assert_eq!(link(&url).get::<_, u32>("key").unwrap(), 2);
    server.forget_last_commands(0);
    server.restart();
    assert_eq!(link(&url).get::<_, u32>("key").unwrap(), 2);
}

#[test]
fn a_tail_cut_amid_a_command_or_a_script_loses_the_whole_of_it() {
    let mut server = RedisServer::builder().append_only().start();
    let url = server.url();
    let mut first = link(&url);
    let _: () = first.set("key", 1).unwrap();
    let _: () = first.set("key", 2).unwrap();
    server.truncate_tail(3);
    server.restart();
    let mut second = link(&url);
    assert_eq!(second.get::<_, u32>("key").unwrap(), 1);
    let script = Script::new("redis.call('SET', 'key', 3) redis.call('SET', 'other', 3) return 1");
    let _: u32 = script.invoke(&mut second).unwrap();
    // The EXEC and a little more.
    server.truncate_tail(20);
    server.restart();
    let mut third = link(&url);
    assert_eq!(third.get::<_, u32>("key").unwrap(), 1);
    assert_eq!(third.get::<_, Option<u32>>("other").unwrap(), None);
    server.truncate_tail(u64::MAX);
    server.restart();
    assert_eq!(link(&url).get::<_, Option<u32>>("key").unwrap(), None);
}

#[test]
fn a_server_without_a_file_has_nothing_to_forget() {
    let mut server = RedisServer::start();
    // It outlives the panic, and leaves no log behind.
    let told = panic::catch_unwind(panic::AssertUnwindSafe(|| server.forget_last_commands(1))).unwrap_err();
    assert!(told.downcast_ref::<String>().is_some_and(|told| told.contains("append_only()")));
}

#[test]
fn a_password_keeps_others_out_and_the_url_has_it() {
    let mut server = RedisServer::builder().append_only().password("p@ss:/w%rd").start();
    let _: () = link(&server.url()).set("key", 1).unwrap();
    let anybody = Client::open(format!("redis://{}/", server.address())).unwrap();
    let told = anybody.get_connection().and_then(|mut link| link.get::<_, u32>("key")).unwrap_err();
    assert_eq!(told.code(), Some("NOAUTH"));
    server.stop();
    server.restart();
    assert_eq!(link(&server.url()).get::<_, u32>("key").unwrap(), 1);
}

#[test]
fn a_replica_has_what_its_primary_had_and_takes_no_writes() {
    let primary = RedisServer::builder().password("secret").start();
    let _: () = link(&primary.url()).set("key", 1).unwrap();
    let replica = RedisServer::builder().replica_of(&primary).start();
    let mut link = link(&replica.url());
    assert_eq!(link.get::<_, u32>("key").unwrap(), 1);
    assert_eq!(link.set::<_, _, ()>("key", 2).unwrap_err().code(), Some("READONLY"));
}

#[test]
fn tls_is_spoken_by_a_server_that_its_authority_vouches_for_and_by_no_other() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut server = RedisServer::builder().append_only().password("secret").tls().start();
    assert!(server.url().starts_with("rediss://:secret@127.0.0.1:"));
    let trusting = |file| {
        let root_cert = Some(std::fs::read(file).unwrap());
        let certificates = TlsCertificates { client_tls: None, root_cert };
        Client::build_with_tls(server.url(), certificates).unwrap().get_connection()
    };
    let _: () = trusting(server.ca_file()).unwrap().set("key", 1).unwrap();
    let stranger = RedisServer::builder().tls().start();
    assert!(trusting(stranger.ca_file()).is_err());
    let plain = Client::open(format!("redis://{}/", server.address())).unwrap();
    assert!(plain.get_connection().and_then(|mut link| link.get::<_, u32>("key")).is_err());
    let (url, ca) = (server.url(), server.ca_file());
    server.restart();
    let certificates = TlsCertificates { client_tls: None, root_cert: Some(std::fs::read(ca).unwrap()) };
    let mut link = Client::build_with_tls(url, certificates).unwrap().get_connection().unwrap();
    assert_eq!(link.get::<_, u32>("key").unwrap(), 1);
}

#[test]
fn a_stepped_clock_is_the_servers_time_and_expires_keys() {
    let mut server = RedisServer::builder().append_only().clock_file().start();
    let mut link = link(&server.url());
    assert!(ahead(&mut link).abs() <= 2);
    let _: () = link.set_ex("key", 1, 1_800).unwrap();
    server.step_clock(-3_600);
    assert!((ahead(&mut link) + 3_600).abs() <= 2);
    assert_eq!(link.get::<_, Option<u32>>("key").unwrap(), Some(1));
    server.step_clock(3_600);
    assert!((ahead(&mut link) - 3_600).abs() <= 2);
    assert_eq!(link.get::<_, Option<u32>>("key").unwrap(), None);
    let uptime: String = redis::cmd("INFO").arg("server").query(&mut link).unwrap();
    assert!(uptime.contains("uptime_in_days:0\r\n"));
    server.restart();
    let mut link = self::link(&server.url());
    assert!((ahead(&mut link) - 3_600).abs() <= 2, "a restart changed the clock");
    server.step_clock(0);
    assert!(ahead(&mut link).abs() <= 2);
}
