//! The ledger: what arrived and what came of it, append-only, without texts.

mod entry;
mod file;
mod line;

pub use entry::WebhookEvent;
pub(crate) use entry::{ApiEntry, SmsEntry, SmsOutcome, TokenEntry, TokenOutcome, WebhookEntry};
pub(crate) use file::LedgerFile;
pub use line::{ApiLine, LedgerLine, SmsLine, TokenLine, WebhookLine};

/// FNV-1a over the UTF-8 bytes, 64 bits. The ledger prints it as 16 hexadecimal digits, so that a test can join its own messages
/// to the ledger without the texts standing in it.
pub fn text_hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    #[test]
    fn text_hash_is_plain_fnv1a() {
        // Test vectors of the FNV authors.
        assert_eq!(super::text_hash(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(super::text_hash("a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(super::text_hash("foobar"), 0x8594_4171_f739_67e8);
    }
}
