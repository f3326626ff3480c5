//! Lists: one page at a time.

use std::marker::PhantomData;

use reqwest::Url;
use serde::Deserialize;

use crate::answer::UnreadableFault;
use crate::operation::Operation;
use crate::serde_text;
use crate::server::ServerUrl;

/// One page of a list.
#[derive(Debug, Clone)]
pub struct Page<T> {
    pub records: Vec<T>,
    /// `None` on the last page.
    pub next: Option<NextPage<T>>,
}

/// Where a list goes on; checked to be on the same server.
#[derive(Clone)]
pub struct NextPage<T> {
    pub(super) operation: Operation,
    pub(super) url: Url,
    pub(super) of: PhantomData<fn() -> T>,
}

impl<T> NextPage<T> {
    /// What it costs and needs: the same as the page before.
    pub fn operation(&self) -> Operation {
        self.operation
    }
}

impl<T> std::fmt::Debug for NextPage<T> {
    // The address may hold the phone number that was searched for.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NextPage")
    }
}

#[derive(Deserialize)]
pub(super) struct List<T> {
    #[serde(deserialize_with = "serde_text::list", bound(deserialize = "T: Deserialize<'de>"))]
    pub(super) records: Vec<T>,
    navigation: Option<Navigation>,
    paging: Option<Paging>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Navigation {
    next_page: Option<Link>,
}

#[derive(Deserialize)]
struct Link {
    uri: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Paging {
    page: Option<u64>,
    per_page: Option<u64>,
    total_pages: Option<u64>,
}

/// The next page: `navigation.nextPage` (documented as the way to go on, since totals may be missing), else counted from
/// `paging`, where the totals say that there is more. Where the server says neither, a full page is taken for one that is
/// followed by another: one request too many costs less than a list cut short that looks complete.
pub(super) fn next_url<T>(server: &ServerUrl, current: &Url, list: &List<T>) -> Result<Option<Url>, UnreadableFault> {
    if let Some(link) = list.navigation.as_ref().and_then(|navigation| navigation.next_page.as_ref()) {
        let next = current.join(&link.uri).map_err(|_| UnreadableFault::NotJson)?;
        // A page that names itself would be read for ever.
        let ours = server.owns(&next) && next != *current;
        return if ours { Ok(Some(next)) } else { Err(UnreadableFault::ForeignNextPage) };
    }
    let asked = |name: &str| current.query_pairs().find(|(key, _)| key == name)?.1.parse::<u64>().ok();
    let paging = list.paging.as_ref();
    let page = paging.and_then(|paging| paging.page).or_else(|| asked("page"));
    let per_page = paging.and_then(|paging| paging.per_page).or_else(|| asked("perPage"));
    // SEND-SAFETY: whoever takes a text that is not in a list for one that was never sent must have seen all of the list.
    let more = match (page, paging.and_then(|paging| paging.total_pages)) {
        (Some(page), Some(total)) => page < total,
        (Some(_), None) if list.navigation.is_none() => per_page.is_some_and(|most| list.records.len() as u64 >= most),
        _ => false,
    };
    let Some(page) = page.filter(|_| more && !list.records.is_empty()) else { return Ok(None) };
    let others: Vec<_> = current.query_pairs().filter(|(name, _)| name != "page").collect();
    let mut next = current.clone();
    next.query_pairs_mut().clear().extend_pairs(others).append_pair("page", &page.saturating_add(1).to_string());
    Ok(Some(next))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(list: &str) -> Result<Option<String>, UnreadableFault> {
        let server = ServerUrl::try_new("https://a.example").expect("valid");
        let current = Url::parse("https://a.example/restapi/v1.0/list?a=1&a=2&page=1").expect("url");
        let list: List<u8> = serde_json::from_str(list).expect("a list");
        Ok(next_url(&server, &current, &list)?.map(String::from))
    }

    #[test]
    fn navigation_is_followed_on_the_same_server_only() {
        let own = r#"{"records":[],"navigation":{"nextPage":{"uri":"https://a.example/restapi/v1.0/list?page=2"}}}"#;
        assert_eq!(next(own), Ok(Some("https://a.example/restapi/v1.0/list?page=2".into())));
        for foreign in [
            "https://evil.example/restapi/v1.0/list?page=2",
            "//evil.example/restapi/",
            "/other",
            "http://a.example/restapi/x",
        ] {
            let list = format!(r#"{{"records":[],"navigation":{{"nextPage":{{"uri":"{foreign}"}}}}}}"#);
            assert_eq!(next(&list), Err(UnreadableFault::ForeignNextPage), "{foreign}");
        }
        let itself = r#"{"records":[],"navigation":{"nextPage":{"uri":"?a=1&a=2&page=1"}}}"#;
        assert_eq!(next(itself), Err(UnreadableFault::ForeignNextPage));
    }

    #[test]
    fn last_page_ends_and_totals_help_out() {
        assert_eq!(next(r#"{"records":[1]}"#), Ok(None));
        assert_eq!(next(r#"{"records":[1],"navigation":{},"paging":{"page":1}}"#), Ok(None));
        assert_eq!(next(r#"{"records":[1],"paging":{"page":2,"totalPages":2}}"#), Ok(None));
        assert_eq!(next(r#"{"records":[],"paging":{"page":1,"totalPages":2}}"#), Ok(None));
        assert_eq!(
            next(r#"{"records":[1],"paging":{"page":1,"totalPages":2}}"#),
            Ok(Some("https://a.example/restapi/v1.0/list?a=1&a=2&page=2".into()))
        );
    }

    #[test]
    fn full_page_without_totals_and_navigation_is_followed() {
        let second = Ok(Some("https://a.example/restapi/v1.0/list?a=1&a=2&page=2".into()));
        assert_eq!(next(r#"{"records":[1,2],"paging":{"page":1,"perPage":2}}"#), second);
        assert_eq!(next(r#"{"records":[1,2],"paging":{"perPage":2}}"#), second);
        assert_eq!(next(r#"{"records":[1],"paging":{"page":1,"perPage":2}}"#), Ok(None));
        assert_eq!(next(r#"{"records":[],"paging":{"page":1,"perPage":0}}"#), Ok(None));
        assert_eq!(next(r#"{"records":[1,2],"navigation":{},"paging":{"page":1,"perPage":2}}"#), Ok(None));
    }
}
