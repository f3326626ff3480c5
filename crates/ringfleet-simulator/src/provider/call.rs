//! One request to the API, all but a send, from its head to its answer.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::response::Response;
use http::HeaderMap;
use http::request::Parts;

use super::answer::rate_headers;
use super::caller::{Caller, Place, identify, owner};
use super::error::ApiError;
use super::operation::Operation;
use crate::clock::Nanos;
use crate::faults::{Fault, Subject, play};
use crate::ledger::{ApiEntry, ApiLine, LedgerLine};
use crate::limits::Verdict;
use crate::transport::Connection;
use crate::world::World;

pub(super) struct Call {
    pub(super) world: Arc<World>,
    connection: Connection,
    headers: HeaderMap,
    pub(super) query: String,
    /// Arrival of the head: the limiter must not see the time that a body takes.
    at: Nanos,
}

impl FromRequestParts<Arc<World>> for Call {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, world: &Arc<World>) -> Result<Self, Infallible> {
        let at = world.clock.now();
        let connection = parts.extensions.get::<ConnectInfo<Connection>>();
        Ok(Self {
            world: Arc::clone(world),
            connection: connection.map(|info| info.0.clone()).unwrap_or_default(),
            headers: std::mem::take(&mut parts.headers),
            query: parts.uri.query().unwrap_or_default().to_owned(),
            at,
        })
    }
}

/// A request that is let in: counted, permitted, in its place.
pub(super) struct Entry {
    pub(super) caller: Caller,
    operation: &'static Operation,
    fault: Option<Arc<Fault>>,
}

impl Entry {
    /// A fault may keep it from doing anything.
    pub(super) fn takes_effect(&self) -> bool {
        self.fault.as_ref().is_none_or(|fault| fault.takes_effect())
    }
}

impl Call {
    /// # Errors
    /// The answer to a request that is not let in.
    pub(super) fn enter(
        &self,
        operation: &'static Operation,
        place: Option<Place<'_>>,
    ) -> Result<Entry, Box<Response>> {
        let world = &*self.world;
        let caller = identify(world, &self.headers, operation, self.at).map_err(|error| {
            let answer = error.response();
            self.note_unauthorized(operation, &answer);
            Box::new(answer)
        })?;
        let admitted = caller.may().and_then(|()| place.map_or(Ok(()), |place| place.check(world, &caller)));
        if let Err(error) = admitted {
            let answer = error.response();
            self.note(&caller, operation, &answer, None);
            return Err(Box::new(rate_headers(answer, &caller.admission)));
        }
        let subject = Subject {
            endpoint: operation.endpoint,
            extension_id: Some(world.directory.extension_id(caller.index)),
            to: None,
        };
        let fault = world.faults.strike(&subject);
        if let Some(pause) = fault.as_deref().and_then(|fault| fault.pause(world.plan(operation.group))) {
            world.begin(pause, world.extension(caller.index).lane_mut(operation.group), caller.admission.at);
        }
        Ok(Entry { caller, operation, fault })
    }

    pub(super) async fn leave(&self, entry: Entry, answer: Result<Response, ApiError>) -> Response {
        let Entry { caller, operation, fault } = entry;
        let answer = answer.unwrap_or_else(|error| error.response());
        self.note(&caller, operation, &answer, fault.as_deref());
        let headers = |answer| rate_headers(answer, &caller.admission);
        match fault {
            None => headers(answer),
            Some(fault) => play(&self.world, &self.connection, operation.endpoint, &fault, answer).await.map(headers),
        }
    }

    /// A request whose answer takes no waiting.
    pub(super) async fn serve(
        &self,
        operation: &'static Operation,
        place: Option<Place<'_>>,
        answer: impl FnOnce(&Caller) -> Result<Response, ApiError>,
    ) -> Response {
        let entry = match self.enter(operation, place) {
            Ok(entry) => entry,
            Err(refusal) => return *refusal,
        };
        let answer = match entry.takes_effect() {
            true => answer(&entry.caller),
            false => Ok(Response::default()),
        };
        self.leave(entry, answer).await
    }

    fn note(&self, caller: &Caller, operation: &Operation, answer: &Response, fault: Option<&Fault>) {
        let entry = ApiEntry {
            at: caller.admission.at,
            operation: operation.endpoint,
            status: answer.status().as_u16(),
            verdict: caller.admission.verdict,
            used: caller.admission.used,
            fault: fault.map(Fault::name),
        };
        self.write_down(Some(caller.index), entry);
    }

    /// Without a live token: the limiter has not seen it.
    fn note_unauthorized(&self, operation: &Operation, answer: &Response) {
        self.world.counters.reads_unauthorized.fetch_add(1, Ordering::Relaxed);
        let entry = ApiEntry {
            at: self.at,
            operation: operation.endpoint,
            status: answer.status().as_u16(),
            verdict: Verdict::Admitted,
            used: 0,
            fault: None,
        };
        self.write_down(owner(&self.world, &self.headers), entry);
    }

    fn write_down(&self, owner: Option<usize>, entry: ApiEntry) {
        let id = owner.map(|index| self.world.directory.extension_id(index));
        self.world.ledger_file.append(|| LedgerLine::Api(ApiLine::new(id, &entry)));
        match owner {
            Some(index) => self.world.extension(index).api_log.push(entry),
            None => self.world.app().api_log.push(entry),
        }
    }
}
