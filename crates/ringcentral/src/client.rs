//! The client: one HTTP pool, one guard, one set of settings.

use std::sync::Arc;
use std::time::Duration;

use reqwest::{RequestBuilder, Url, redirect, retry};
use secrecy::ExposeSecret;

use crate::answer::{CallError, Cause};
use crate::config::{ClientConfig, ProxyChoice};
use crate::guard::{Guard, GuardKey, GuardMode, Wait};
use crate::ids::ExtensionId;
use crate::permit::{Always, Permit};
use crate::plan::UsageGroup;
use crate::secret::AccessToken;
use crate::tls;
use crate::transport::{self, Head, Reply};

/// A client of one server as one app. Cloning is cheap and shares the connections and the guard.
#[derive(Debug, Clone)]
pub struct Client(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    http: reqwest::Client,
    config: ClientConfig,
    guard: Guard,
}

/// Why a client can't be made.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("no crypto provider is installed for TLS; call ringcentral::install_crypto() at the program's start")]
    NoCryptoProvider,
    #[error("proxy URL can't be used")]
    Proxy,
    #[error("http client can't be set up")]
    Setup(#[source] Cause),
}

/// Who makes an API call: its quota counts for `extension`, whose `token` it must be.
#[derive(Debug, Clone, Copy)]
pub struct Caller<'a> {
    pub extension: &'a ExtensionId,
    pub token: &'a AccessToken,
}

impl Client {
    /// Makes a client; opens no connection yet.
    ///
    /// # Errors
    /// [`ClientError::NoCryptoProvider`] for an `https` server before [`install_crypto`](crate::install_crypto).
    pub fn new(config: ClientConfig) -> Result<Self, ClientError> {
        let http = http_client(&config)?;
        let guard = Guard::new(config.guard_mode, config.plans);
        Ok(Self(Arc::new(Inner { http, config, guard })))
    }

    pub fn config(&self) -> &ClientConfig {
        &self.0.config
    }

    /// The guard, so that a store can write what it knows (a penalty, a plan) into it.
    pub fn guard(&self) -> &Guard {
        &self.0.guard
    }

    pub(crate) fn post(&self, path: &str) -> RequestBuilder {
        self.0.http.post(self.0.config.server.at(path))
    }

    pub(crate) fn delete(&self, path: &str) -> RequestBuilder {
        self.0.http.delete(self.0.config.server.at(path))
    }

    /// A request that shows nobody's token.
    pub(crate) fn get_public(&self, url: Url) -> RequestBuilder {
        self.0.http.get(url)
    }

    pub(crate) fn get(&self, url: Url, caller: Caller<'_>) -> RequestBuilder {
        // `bearer_auth` marks the header sensitive, so that no Debug output shows it.
        self.0.http.get(url).bearer_auth(caller.token.expose())
    }

    /// One request and its answer, guarded and learnt from. Never repeats a request by itself.
    ///
    /// Dropping the future leaves open whether the server acts on the request.
    pub(crate) async fn exchange(
        &self,
        key: &GuardKey,
        request: RequestBuilder,
        cap: usize,
    ) -> Result<Reply, CallError> {
        self.exchange_watched(key, request, cap, &Always).await
    }

    /// [`exchange`](Self::exchange); `permit` learns when the head of the answer is there.
    pub(crate) async fn exchange_watched(
        &self,
        key: &GuardKey,
        request: RequestBuilder,
        cap: usize,
        permit: &dyn Permit,
    ) -> Result<Reply, CallError> {
        self.admit(key).await?;
        let on_head = |head: &Head| {
            permit.answered();
            self.learn(key, head);
        };
        let reply = transport::exchange(request, cap, self.0.config.answer_cap_bytes, on_head).await;
        transport::trace(key, &reply);
        if matches!(reply, Err(CallError::Connect { .. })) {
            // The server counted nothing; a store with the exact window gives its slot back too, and must not be delayed.
            self.0.guard.give_back(key);
        }
        reply?.require_success()
    }

    async fn admit(&self, key: &GuardKey) -> Result<(), CallError> {
        let guard = &self.0.guard;
        let turn = match guard.mode() {
            GuardMode::Backstop => guard.check(key),
            GuardMode::Limiter => guard.until_ready(key, self.0.config.guard_patience).await,
        };
        turn.map_err(|Wait(wait)| CallError::Guard { wait })
    }

    /// Writes an answer's headers into the guard as soon as they are there: a body that dribbles in must not keep a
    /// penalty back.
    fn learn(&self, key: &GuardKey, head: &Head) {
        let (guard, rate) = (&self.0.guard, &head.rate);
        if let (Some(limit), Some(window)) = (rate.limit, rate.window) {
            guard.learn_plan(key, limit, window);
        }
        if head.status == http::StatusCode::TOO_MANY_REQUESTS {
            let penalty = rate.quiet_for();
            guard.penalise(key, penalty);
            // Behind a store, the store decides how wide a limit is; alone, nobody else would.
            if guard.mode() == GuardMode::Limiter && !rate.any_limit() {
                widen(guard, key, penalty);
            }
        } else if guard.mode() == GuardMode::Limiter
            && let Some(remaining) = rate.remaining
        {
            guard.learn_remaining(key, remaining);
        }
    }
}

/// A 429 without rate headers is not this extension's (documented): the other keys get the same penalty. The token
/// endpoint and the API are kept apart, as their limits are.
fn widen(guard: &Guard, key: &GuardKey, penalty: Duration) {
    let auth = key.group() == UsageGroup::Auth;
    for group in UsageGroup::ALL {
        if (group == UsageGroup::Auth) == auth {
            guard.penalise_group(group, penalty);
        }
    }
}

fn http_client(config: &ClientConfig) -> Result<reqwest::Client, ClientError> {
    let builder = reqwest::Client::builder()
        .user_agent(&config.user_agent)
        .connect_timeout(config.connect_timeout)
        .timeout(config.total_timeout)
        // SEND-SAFETY: 307 and 308 replay the body, so following a redirect could send a text twice, and would show the
        // token to another server.
        .redirect(redirect::Policy::none())
        .referer(false)
        // SEND-SAFETY: reqwest's own retry is off; only the caller, who wrote the intent, may decide on a second POST.
        // (hyper still takes another pooled connection if one is closed before the first byte of the request.)
        .retry(retry::never())
        // SEND-SAFETY: fewer requests meet a connection that the server closes at that moment and are lost with it.
        .pool_idle_timeout(config.pool_idle_timeout)
        .tcp_keepalive(Duration::from_secs(15))
        .http2_keep_alive_interval(Duration::from_secs(10))
        .http2_keep_alive_timeout(Duration::from_secs(5));
    // A peer that vanished without a word is noticed after this, not after the system's quarter of an hour.
    #[cfg(target_os = "linux")]
    let builder = builder.tcp_user_timeout(Duration::from_secs(20));
    let builder = match &config.proxy {
        ProxyChoice::Direct => builder.no_proxy(),
        ProxyChoice::Environment => builder,
        ProxyChoice::Url(url) => {
            // Not kept as a source: its message may quote the URL, which may hold a password.
            let proxy = reqwest::Proxy::all(url.expose_secret()).map_err(|_| ClientError::Proxy)?;
            builder.no_proxy().proxy(proxy)
        }
    };
    let builder = if config.server.is_https() {
        if !tls::crypto_is_installed() {
            return Err(ClientError::NoCryptoProvider);
        }
        builder.https_only(true)
    } else {
        let unused = tls::trusting_nobody().map_err(|error| ClientError::Setup(error.into()))?;
        builder.tls_backend_preconfigured(unused)
    };
    builder.build().map_err(|error| ClientError::Setup(error.without_url().into()))
}
