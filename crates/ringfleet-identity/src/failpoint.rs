//! Places at which a test ends, stops or drains this process, or lets one of its tasks panic:
//! `RINGFLEET_FAILPOINT=intent.after=kill@3` sends SIGKILL at the third passing of the place. Compiled in with the feature
//! `failpoints` only; otherwise nothing is left of it.

#[cfg(not(feature = "failpoints"))]
pub const fn hit(_place: &str) {}

#[cfg(not(feature = "failpoints"))]
pub const fn hit_soon(_place: &'static str) {}

#[cfg(feature = "failpoints")]
pub use armed::{hit, hit_soon};

#[cfg(feature = "failpoints")]
mod armed {
    use std::{
        process::Command,
        sync::{
            LazyLock,
            atomic::{AtomicU32, Ordering},
        },
        time::Duration,
    };

    struct Armed {
        place: String,
        /// None: a panic.
        signal: Option<&'static str>,
        passing: u32,
        passed: AtomicU32,
    }

    static ARMED: LazyLock<Option<Armed>> = LazyLock::new(|| {
        let text = std::env::var("RINGFLEET_FAILPOINT").ok()?;
        let (place, rest) = text.split_once('=')?;
        let (action, passing) = rest.split_once('@').unwrap_or((rest, "1"));
        let signal = match action {
            "kill" => Some("-KILL"),
            "term" => Some("-TERM"),
            "stop" => Some("-STOP"),
            "panic" => None,
            _ => return None,
        };
        Some(Armed { place: place.to_owned(), signal, passing: passing.parse().ok()?, passed: AtomicU32::new(0) })
    });

    pub fn hit(place: &str) {
        let Some(armed) = ARMED.as_ref().filter(|armed| armed.place == place) else { return };
        if armed.passed.fetch_add(1, Ordering::SeqCst) + 1 == armed.passing {
            // For whoever waits until it has come here.
            eprintln!("failpoint {place} met");
            let Some(signal) = armed.signal else { panic!("the failpoint {place}") };
            // The safe way to a signal. The call returns after SIGTERM, and after a SIGSTOP that was followed by SIGCONT.
            let _ = Command::new("kill").arg(signal).arg(std::process::id().to_string()).status();
        }
    }

    /// The same a moment later, while the code goes on: for a place that lies in another library.
    pub fn hit_soon(place: &'static str) {
        if ARMED.as_ref().is_some_and(|armed| armed.place == place) {
            std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(50));
                hit(place);
            });
        }
    }
}
