//! Reads: what is asked for, known before it is asked.

use std::fmt;
use std::marker::PhantomData;

use reqwest::Url;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::page::{List, NextPage, Page, next_url};
use crate::answer::{Answer, CallError};
use crate::client::{Caller, Client};
use crate::guard::GuardKey;
use crate::ids::ExtensionId;
use crate::operation::Operation;
use crate::transport::{self, Reply};

/// One read of the API, with nothing sent yet: its functions say what there is to read. [`operation`](Self::operation)
/// tells its usage group and permissions beforehand. `Read<Page<T>>` is a list and goes through
/// [`Client::read_page`], any other through [`Client::read`].
///
/// ```
/// # use ringcentral::*;
/// let numbers = Read::account_phone_numbers();
/// assert_eq!(numbers.operation().group, UsageGroup::Heavy);
/// let as_the_server_wrote_them = numbers.raw_records();
/// ```
#[derive(Clone)]
pub struct Read<T> {
    operation: Operation,
    path: String,
    query: Vec<(&'static str, String)>,
    of: PhantomData<fn() -> T>,
}

/// Whose things to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose<'a> {
    /// Those of the token's own extension.
    Own,
    /// Those of another one: the user needs a role with rights over it (else `CMN-404` or `CMN-419`, documented).
    Extension(&'a ExtensionId),
}

impl Whose<'_> {
    /// The path of the extension.
    pub(crate) fn path(self) -> String {
        let id = match self {
            Self::Own => "~",
            Self::Extension(id) => id.as_str(),
        };
        format!("/restapi/v1.0/account/~/extension/{id}")
    }
}

/// JSON as the server wrote it, numbers and texts included; hence no `Debug` of its content.
#[derive(Clone, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct Raw(Value);

impl Raw {
    /// The JSON itself. For printing where a person asked for it; never for a log, a metric or an error.
    pub fn expose(&self) -> &Value {
        &self.0
    }
}

impl fmt::Debug for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Raw([redacted])")
    }
}

impl<T> Read<T> {
    pub(crate) fn new(operation: Operation, path: impl Into<String>) -> Self {
        Self { operation, path: path.into(), query: Vec::new(), of: PhantomData }
    }

    pub(crate) fn with(mut self, query: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        self.query.extend(query);
        self
    }

    /// What it costs and needs.
    pub fn operation(&self) -> Operation {
        self.operation
    }

    /// The same read, answered with the whole body.
    pub fn raw(self) -> Read<Raw> {
        self.into_read()
    }

    fn into_read<U>(self) -> Read<U> {
        Read { operation: self.operation, path: self.path, query: self.query, of: PhantomData }
    }
}

impl<T> Read<Page<T>> {
    /// The same list from this page on, counted from 1: where a run that was interrupted goes on.
    pub fn at_page(mut self, page: u32) -> Self {
        self.query.retain(|(name, _)| *name != "page");
        self.with([("page", page.max(1).to_string())])
    }

    /// The same list, with each record as the server wrote it.
    pub fn raw_records(self) -> Read<Page<Raw>> {
        self.into_read()
    }
}

impl<T> fmt::Debug for Read<T> {
    // The query may hold the phone number that is searched for.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Read({})", self.operation)
    }
}

impl Client {
    /// Reads one object, in the usage group of [`Read::operation`].
    ///
    /// # Errors
    /// [`CallError`]; see [`classify_read`](crate::classify_read).
    pub async fn read<T: DeserializeOwned>(&self, caller: Caller<'_>, read: &Read<T>) -> Result<Answer<T>, CallError> {
        let reply = self.get_reply(caller, read.operation, self.address(read)).await?;
        reply.answer(transport::json)
    }

    /// Reads one page of a list, in the usage group of [`Read::operation`]; [`next_page`](Self::next_page) goes on.
    ///
    /// # Errors
    /// [`CallError`]; a list whose next page lies on another server is `Unreadable`, because the token must not go there
    /// and a list cut short in silence would look complete.
    pub async fn read_page<T: DeserializeOwned>(
        &self,
        caller: Caller<'_>,
        read: &Read<Page<T>>,
    ) -> Result<Answer<Page<T>>, CallError> {
        self.page(caller, read.operation, self.address(read)).await
    }

    /// Reads a further page, in the usage group of [`NextPage::operation`].
    ///
    /// # Errors
    /// As [`read_page`](Self::read_page).
    pub async fn next_page<T: DeserializeOwned>(
        &self,
        caller: Caller<'_>,
        next: &NextPage<T>,
    ) -> Result<Answer<Page<T>>, CallError> {
        self.page(caller, next.operation, next.url.clone()).await
    }

    fn address<T>(&self, read: &Read<T>) -> Url {
        let mut url = self.config().server.at(&read.path);
        if !read.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&read.query);
        }
        url
    }

    async fn page<T: DeserializeOwned>(
        &self,
        caller: Caller<'_>,
        operation: Operation,
        url: Url,
    ) -> Result<Answer<Page<T>>, CallError> {
        let reply = self.get_reply(caller, operation, url.clone()).await?;
        reply.answer(|body| {
            let list: List<T> = transport::json(body)?;
            let next = next_url(&self.config().server, &url, &list)?;
            let next = next.map(|url| NextPage { operation, url, of: PhantomData });
            Ok(Page { records: list.records, next })
        })
    }

    async fn get_reply(&self, caller: Caller<'_>, operation: Operation, url: Url) -> Result<Reply, CallError> {
        let key = GuardKey::extension(caller.extension, operation.group);
        let request = self.get(url, caller).header(http::header::ACCEPT, "application/json");
        self.exchange(&key, request, self.config().list_cap_bytes).await
    }
}
