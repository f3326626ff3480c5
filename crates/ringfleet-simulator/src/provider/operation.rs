//! What a request costs and whom it is open to.

use crate::faults::Endpoint;
use crate::limits::Group;

pub(super) struct Operation {
    pub(super) endpoint: Endpoint,
    pub(super) group: Group,
    /// What the app must be allowed.
    pub(super) app: Option<&'static str>,
    /// What the user must be allowed.
    pub(super) user: Option<&'static str>,
}

impl Operation {
    pub(super) const fn new(endpoint: Endpoint, group: Group, app: &'static str, user: &'static str) -> Self {
        Self { endpoint, group, app: Some(app), user: Some(user) }
    }

    /// For every user of an app with that permission.
    pub(super) const fn of_app(endpoint: Endpoint, group: Group, app: &'static str) -> Self {
        Self { endpoint, group, app: Some(app), user: None }
    }

    /// For every app and user.
    pub(super) const fn open(endpoint: Endpoint, group: Group) -> Self {
        Self { endpoint, group, app: None, user: None }
    }
}
