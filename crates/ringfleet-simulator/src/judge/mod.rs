//! The judge: figures from what arrived. It never asks the limiter what the limiter thought, except to count its refusals.

mod arithmetic;
mod logins;
mod report;

pub use logins::ExtensionReport;
pub(crate) use report::report;
pub use report::{LaneReport, Report, ReportScope};
