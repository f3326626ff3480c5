//! Customers' data in what may be printed.

use ringfleet_store::{ListFrom, NewMessage, Private, State, TokenRecord};

use crate::talk::*;

pub(crate) async fn nothing_private_is_printed(s: &Subject) {
    let canaries = ["+16505550177", "+16505550188", "CANARY-TEXT", "CANARY-KEY", "CANARY-TOKEN"];
    let new = NewMessage {
        key: key("CANARY-KEY"),
        from: Private::new("+16505550177"),
        to: Private::new("+16505550188"),
        ..message(&wide(1), "CANARY-TEXT")
    };
    let mut printed = format!("{new:?}");
    let id = s.put(new).await;
    let lease = s.claim_one().await;
    printed += &format!("{lease:?}");
    printed += &format!("{:?}", s.store.get(&id).await.unwrap());
    s.begin(lease.reference()).await;
    s.settle(lease.reference(), unknown()).await;
    printed += &format!("{:?}", s.store.list(&ListFrom::newest(State::Held), 5).await.unwrap().messages);
    printed +=
        &format!("{:?}", TokenRecord { generation: 1, sealed: b"CANARY-TOKEN".to_vec(), lives: DAY, renew_in: DAY });
    for canary in canaries {
        assert!(!printed.contains(canary), "{canary} is printed");
        let bytes = format!("{:?}", canary.as_bytes());
        assert!(!printed.contains(&bytes[1..bytes.len() - 1]), "{canary} is printed as bytes");
    }
    assert!(printed.contains("[redacted]"));
}
