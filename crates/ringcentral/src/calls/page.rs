//! Lists: one page at a time.

use std::marker::PhantomData;

use reqwest::Url;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::answer::{Answer, CallError, UnreadableFault};
use crate::client::{Caller, Client};
use crate::guard::GuardKey;
use crate::plan::UsageGroup;
use crate::server::ServerUrl;
use crate::transport;

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
    url: Url,
    of: PhantomData<fn() -> T>,
}

impl<T> std::fmt::Debug for NextPage<T> {
    // The address may hold the phone number that was searched for.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NextPage")
    }
}

#[derive(Deserialize)]
struct List<T> {
    records: Vec<T>,
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
    total_pages: Option<u64>,
}

impl Client {
    /// Fetches a further page. Group Light, as are all lists of this crate.
    ///
    /// # Errors
    /// [`CallError`]; a list whose next page lies on another server is `Unreadable`, because the token must not go there
    /// and a list cut short in silence would look complete.
    pub async fn next_page<T: DeserializeOwned>(
        &self,
        caller: Caller<'_>,
        next: &NextPage<T>,
    ) -> Result<Answer<Page<T>>, CallError> {
        self.page(caller, next.url.clone()).await
    }

    pub(crate) async fn page<T: DeserializeOwned>(
        &self,
        caller: Caller<'_>,
        url: Url,
    ) -> Result<Answer<Page<T>>, CallError> {
        let key = GuardKey::extension(caller.extension, UsageGroup::Light);
        let request = self.get(url.clone(), caller).header(http::header::ACCEPT, "application/json");
        let reply = self.exchange(&key, request, self.config().list_cap_bytes).await?;
        reply.answer(|body| {
            let list: List<T> = transport::json(body)?;
            let next = next_url(&self.config().server, &url, &list)?;
            let next = next.map(|url| NextPage { url, of: PhantomData });
            Ok(Page { records: list.records, next })
        })
    }

    /// One object below the extension or the account; group Light.
    pub(crate) async fn object<T: DeserializeOwned>(
        &self,
        caller: Caller<'_>,
        path: &str,
    ) -> Result<Answer<T>, CallError> {
        let key = GuardKey::extension(caller.extension, UsageGroup::Light);
        let request = self.get(self.config().server.at(path), caller);
        let request = request.header(http::header::ACCEPT, "application/json");
        let reply = self.exchange(&key, request, self.config().answer_cap_bytes).await?;
        reply.answer(transport::json)
    }
}

/// The next page: `navigation.nextPage` (documented as the way to go on, since totals may be missing), else counted from
/// `paging`, where the totals say that there is more.
fn next_url<T>(server: &ServerUrl, current: &Url, list: &List<T>) -> Result<Option<Url>, UnreadableFault> {
    if let Some(link) = list.navigation.as_ref().and_then(|navigation| navigation.next_page.as_ref()) {
        let next = current.join(&link.uri).map_err(|_| UnreadableFault::NotJson)?;
        // A page that names itself would be read for ever.
        let ours = server.owns(&next) && next != *current;
        return if ours { Ok(Some(next)) } else { Err(UnreadableFault::ForeignNextPage) };
    }
    let paging = list.paging.as_ref();
    let Some((page, total)) = paging.and_then(|paging| Some((paging.page?, paging.total_pages?))) else {
        return Ok(None);
    };
    if page >= total || list.records.is_empty() {
        return Ok(None);
    }
    let others: Vec<_> = current.query_pairs().filter(|(name, _)| name != "page").collect();
    let mut next = current.clone();
    next.query_pairs_mut().clear().extend_pairs(others).append_pair("page", &(page + 1).to_string());
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
        assert_eq!(
            next(r#"{"records":[1],"paging":{"page":1,"totalPages":2}}"#),
            Ok(Some("https://a.example/restapi/v1.0/list?a=1&a=2&page=2".into()))
        );
    }
}
