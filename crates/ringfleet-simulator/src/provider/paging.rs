//! `page` and `perPage`, `paging` and `navigation` (documented).

use serde::Serialize;
use serde_json::{Value, json};

use crate::query::Pairs;

const DEFAULT_PER_PAGE: usize = 100;
const MAX_PER_PAGE: usize = 1000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Page {
    /// From 1.
    number: usize,
    size: usize,
}

impl Page {
    pub(super) fn of(query: &Pairs<'_>) -> Self {
        let read = |name, default| {
            let value = query.first(name).and_then(|raw| raw.parse().ok());
            value.filter(|value| *value > 0).unwrap_or(default)
        };
        Self {
            number: read("page", 1),
            size: match query.first("perPage") {
                Some("max") => MAX_PER_PAGE,
                _ => read("perPage", DEFAULT_PER_PAGE).min(MAX_PER_PAGE),
            },
        }
    }

    /// The records of this page, and whether others follow.
    pub(super) fn cut<T>(&self, records: impl Iterator<Item = T>) -> (Vec<T>, bool) {
        let mut page: Vec<T> = records.skip(self.size.saturating_mul(self.number - 1)).take(self.size + 1).collect();
        let more = page.len() > self.size;
        page.truncate(self.size);
        (page, more)
    }

    /// A list as RingCentral shapes it. `total` may be left out (documented); then only `nextPage` tells that there is more.
    pub(super) fn list<T: Serialize>(
        &self,
        uri: &str,
        query: &str,
        (records, more): (&[T], bool),
        total: Option<usize>,
    ) -> Value {
        let start = self.size.saturating_mul(self.number - 1);
        let mut paging = json!({
            "page": self.number,
            "perPage": self.size,
            "pageStart": start,
            "pageEnd": start + records.len().saturating_sub(1),
        });
        if let Some(total) = total {
            paging["totalElements"] = total.into();
            paging["totalPages"] = total.div_ceil(self.size).into();
        }
        let link = |number: usize| json!({"uri": self.link(uri, query, number)});
        let mut navigation = json!({"firstPage": link(1)});
        if more {
            navigation["nextPage"] = link(self.number + 1);
        }
        if self.number > 1 {
            navigation["previousPage"] = link(self.number - 1);
        }
        json!({
            "uri": self.link(uri, query, self.number),
            "records": records,
            "paging": paging,
            "navigation": navigation,
        })
    }

    /// The same query with another page.
    fn link(&self, uri: &str, query: &str, number: usize) -> String {
        let kept = query
            .split('&')
            .filter(|pair| !pair.is_empty() && !pair.starts_with("page=") && !pair.starts_with("perPage="));
        let mut link = format!("{uri}?page={number}&perPage={}", self.size);
        for pair in kept {
            link.push('&');
            // A `+` that came raw must not turn into a space on the way back.
            link.push_str(&pair.replace('+', "%2B"));
        }
        link
    }
}
