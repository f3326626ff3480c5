//! Which node of a Cluster has which slots, as its nodes tell it.

use std::collections::HashMap;

use redis::Value;

use super::scripts::{bytes, number};

/// How a node is reached: host and port.
pub(super) type Address = (String, u16);

/// What one node tells.
#[derive(Default)]
pub(super) struct View {
    /// First and last slot, and the primary that has them.
    ranges: Vec<(u16, u16, Address)>,
    /// All that it named, the replicas too.
    pub(super) nodes: Vec<Address>,
}

impl View {
    /// The reply to `CLUSTER SLOTS` of the node at `asked`.
    pub(super) fn read(reply: &Value, asked: &str) -> Self {
        let mut this = Self::default();
        let Value::Array(ranges) = reply else { return this };
        for range in ranges {
            let Value::Array(range) = range else { continue };
            let [first, last, nodes @ ..] = &range[..] else { continue };
            let slot = |value| number(value).and_then(|slot| u16::try_from(slot).ok());
            let mut nodes = nodes.iter().map(|node| address(node, asked));
            // Without its primary's address a range is nobody's: a replica sends everything back there.
            let primary = nodes.next().flatten();
            if let (Some(first), Some(last), Some(primary)) = (slot(first), slot(last), &primary) {
                this.ranges.push((first, last, primary.clone()));
            }
            this.nodes.extend(primary.into_iter().chain(nodes.flatten()));
        }
        this
    }

    fn owner(&self, slot: u16) -> Option<&Address> {
        let (.., owner) = self.ranges.iter().find(|(first, last, _)| (*first..=*last).contains(&slot))?;
        Some(owner)
    }
}

/// Whom most of them name: one that was cut off or stood still names what was.
pub(super) fn owner(views: &[View], slot: u16) -> Option<Address> {
    let mut votes: HashMap<&Address, usize> = HashMap::new();
    for owner in views.iter().filter_map(|view| view.owner(slot)) {
        *votes.entry(owner).or_default() += 1;
    }
    votes.into_iter().max_by_key(|(_, votes)| *votes).map(|(owner, _)| owner.clone())
}

/// An empty host is the one that was asked, `?` is unknown to it.
fn address(node: &Value, asked: &str) -> Option<Address> {
    let Value::Array(node) = node else { return None };
    let [host, port, ..] = &node[..] else { return None };
    let host = match host {
        Value::Nil => asked,
        host => match std::str::from_utf8(bytes(host)?).ok()? {
            "" | "0.0.0.0" | "::" => asked,
            "?" => return None,
            host => host,
        },
    };
    let port = u16::try_from(number(port)?).ok().filter(|port| *port > 0)?;
    Some((host.to_owned(), port))
}

/// The slot of a hash tag's inside: CRC-16 (XMODEM), as every client computes it.
pub(super) fn slot_of(tag: &str) -> u16 {
    let crc = tag.trim_matches(['{', '}']).bytes().fold(0_u16, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(byte) << 8), |crc, _| (crc << 1) ^ if crc & 0x8000 == 0 { 0 } else { 0x1021 })
    });
    crc % 16_384
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(host: &str, port: i64) -> Value {
        let host = if host == "nil" { Value::Nil } else { Value::BulkString(host.into()) };
        Value::Array(vec![host, Value::Int(port), Value::BulkString("id".into()), Value::Array(Vec::new())])
    }

    /// First and last slot, and their nodes.
    type Range<'a> = (i64, i64, &'a [(&'a str, i64)]);

    fn view(ranges: &[Range<'_>]) -> View {
        let range = |(first, last, nodes): &Range<'_>| {
            let nodes = nodes.iter().map(|(host, port)| node(host, *port));
            Value::Array([Value::Int(*first), Value::Int(*last)].into_iter().chain(nodes).collect())
        };
        View::read(&Value::Array(ranges.iter().map(range).collect()), "asked")
    }

    #[test]
    fn slots_are_those_that_redis_computes() {
        assert_eq!((slot_of("{123456789}"), slot_of("foo")), (0x31c3, 12_182));
    }

    #[test]
    fn hosts_are_names_or_addresses_or_the_one_that_was_asked() {
        for (host, expected) in [("10.0.0.1", "10.0.0.1"), ("a.example", "a.example"), ("fe80::1", "fe80::1")] {
            assert_eq!(owner(&[view(&[(0, 9, &[(host, 7)])])], 9), Some((expected.to_owned(), 7)));
        }
        for host in ["", "nil", "0.0.0.0", "::"] {
            assert_eq!(owner(&[view(&[(0, 9, &[(host, 7)])])], 0), Some(("asked".to_owned(), 7)));
        }
        let unknown = view(&[(0, 9, &[("?", 7), ("replica", 8)])]);
        assert_eq!((owner(&[unknown], 0), owner(&[view(&[])], 0)), (None, None));
    }

    #[test]
    fn one_that_names_what_was_is_outvoted_and_replicas_are_known_too() {
        let (old, new) = (|| view(&[(0, 9, &[("old", 7), ("new", 7)])]), || view(&[(0, 9, &[("new", 7)])]));
        assert_eq!(owner(&[old(), new(), new()], 5), Some(("new".to_owned(), 7)));
        assert_eq!(old().nodes, [("old".to_owned(), 7), ("new".to_owned(), 7)]);
    }

    #[test]
    fn a_reply_of_another_shape_tells_nothing() {
        for reply in [Value::Nil, Value::Int(1), Value::Array(vec![Value::Nil, Value::Array(vec![Value::Int(1)])])] {
            let view = View::read(&reply, "asked");
            assert!(view.ranges.is_empty() && view.nodes.is_empty());
        }
    }
}
