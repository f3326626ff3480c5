//! Codes of subscriptions to events.

use super::Row;

#[rustfmt::skip]
pub(super) const TABLE: &[Row] = &[
    ("SUB-405", "the user may not subscribe to this event of another extension",
        "subscribe with that extension's own token, or as an administrator who may read its messages"),
    ("SUB-505", "the user has as many subscriptions with this app as are allowed, which is 30",
        "list the subscriptions and delete those that are blacklisted or of an old address"),
    ("SUB-508", "an event filter is not valid",
        "compare the filter, its path and its conditions with the list of events"),
    ("SUB-515", "a subscription to nothing but its own reminder is not allowed",
        "add the event itself to the filters, beside the reminder"),
    ("SUB-516", "the reminder's times do not fit the subscription's life",
        "make the threshold at most half of the life, and the interval at most half of the threshold"),
    ("SUB-520", "the webhook did not give the validation token back",
        "answer the first call with 200 and the header Validation-Token just as it came"),
    ("SUB-521", "the webhook could not be reached",
        "open the webhook's address from outside: name, port and firewall must let RingCentral in"),
    ("SUB-522", "the webhook answered with a status other than 200",
        "answer the first call with 200 within three seconds, whatever its body"),
    ("SUB-523", "the webhook's address is not https",
        "put the webhook behind TLS and name it with https://"),
    ("SUB-524", "the webhook's certificate is not trusted",
        "serve a certificate of a public authority with its whole chain, for the very host name"),
    ("SUB-525", "the webhook's answer is not usable",
        "answer with at most 1024 bytes, headers included, as application/json"),
];
