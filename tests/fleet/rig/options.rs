//! What a test starts from.

use std::time::Duration;

use ringfleet_simulator::{AppSettings, SimulatorConfig};
use ringfleet_store::OnUnknown;

pub(crate) struct RigOptions {
    pub window: Duration,
    /// Texts of an extension in a window, as its settings say.
    pub medium: u32,
    pub redis: bool,
    /// So many shards on a Cluster, instead of one Redis.
    pub shards: Option<u16>,
    pub simulator: SimulatorConfig,
    pub lease: Duration,
    pub request_timeout: Duration,
    pub settle_time: Duration,
    pub on_unknown: OnUnknown,
    /// From the end of the last fault to the first send of each lane that waits, beside a lease.
    pub back: Duration,
    /// A proxy between the workers and Redis, which can be told to fail.
    pub proxy: bool,
    /// The same between the workers and the simulator.
    pub api_proxy: bool,
    /// Redis has a clock of its own, which the test can step.
    pub clock_file: bool,
}

impl RigOptions {
    pub(crate) fn new(extensions: u32, window: Duration) -> Self {
        let simulator = SimulatorConfig {
            extensions,
            window,
            app: AppSettings { refresh_tokens: true, ..AppSettings::default() },
            ..SimulatorConfig::default()
        };
        Self {
            window,
            medium: simulator.limits.medium,
            redis: true,
            shards: None,
            simulator,
            lease: Duration::from_secs(10),
            request_timeout: Duration::from_secs(3),
            settle_time: Duration::from_millis(3_500),
            on_unknown: OnUnknown::Reconcile,
            back: Duration::from_secs(10),
            proxy: false,
            api_proxy: false,
            clock_file: false,
        }
    }

    /// Times so short that a fault and its mending fit into a few seconds.
    pub(crate) fn quick(mut self) -> Self {
        self.lease = Duration::from_secs(2);
        self.request_timeout = Duration::from_secs(1);
        self.settle_time = Duration::from_millis(1_200);
        self
    }

    /// What gets no answer is held instead of looked up, so that it shows. With time enough for one, so that a busy machine leaves
    /// none without.
    pub(crate) fn holding(mut self) -> Self {
        self.on_unknown = OnUnknown::Hold;
        self.lease = Duration::from_secs(10);
        self.request_timeout = Duration::from_secs(3);
        self.settle_time = Duration::from_millis(3_500);
        self
    }

    pub(crate) fn behind_proxy(mut self) -> Self {
        self.proxy = true;
        self
    }

    pub(crate) fn behind_api_proxy(mut self) -> Self {
        self.api_proxy = true;
        self
    }

    pub(crate) fn on_sqlite(mut self) -> Self {
        self.redis = false;
        self
    }

    pub(crate) fn on_a_cluster(mut self, shards: u16) -> Self {
        self.redis = false;
        self.shards = Some(shards);
        self
    }
}
