//! Lease tokens are made of the time: none is given out twice.

use ringfleet_store::{Acquired, Begin, LeaseRef};

use crate::talk::*;

const LEASE_MS: i64 = 10_000;

pub(crate) async fn tokens_are_made_of_the_time_and_grow(s: &Subject) {
    let mut last = 0;
    for n in 0..20 {
        s.put(message(&wide(1), &n.to_string())).await;
        let lease = s.claim_one().await;
        assert!(lease.token.0 > last, "they grow, also within one millisecond");
        assert!(lease.token.0 >= s.now() as u64 * 2_048);
        last = lease.token.0;
        s.send(&lease).await;
        s.step(n % 2);
    }
    let Acquired::Granted(slot) = s.store.acquire(&wide(1), ms(10)).await.unwrap() else { panic!("no slot") };
    assert!(slot.0 >= s.now() as u64 * 2_048);
}

pub(crate) async fn no_token_is_given_out_twice_though_the_counter_is_lost(s: &Subject) {
    s.put(message(&wide(1), "x")).await;
    let mut tokens = Vec::new();
    for _ in 0..3 {
        let lease = s.claim_one().await.reference();
        tokens.push(lease.token);
        s.step(LEASE_MS);
        assert_eq!(s.reap().await.requeued, 1);
        s.lose_token_counter();
    }
    let lease = s.claim_one().await.reference();
    assert!(tokens.iter().all(|token| *token < lease.token), "{tokens:?} {lease:?}");
    for token in tokens {
        assert_eq!(s.begin(LeaseRef { token, ..lease }).await, Begin::LeaseLost);
    }
}
