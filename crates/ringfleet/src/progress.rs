//! Progress bars: on a terminal they move, elsewhere they keep silent.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar over a known number of things.
pub(crate) fn bar(total: u64, what: &str) -> ProgressBar {
    // The templates are fixed text; one that does not parse would fall back to the default look.
    let style = ProgressStyle::with_template("{msg:14} [{bar:36}] {human_pos}/{human_len}  {per_sec}  ETA {eta}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ");
    dress(ProgressBar::new(total), style, what)
}

/// A bar over the bytes of a file.
pub(crate) fn bytes(total: u64, what: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg:14} [{bar:36}] {bytes}/{total_bytes}  {bytes_per_sec}  ETA {eta}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ");
    dress(ProgressBar::new(total), style, what)
}

fn dress(bar: ProgressBar, style: ProgressStyle, what: &str) -> ProgressBar {
    bar.set_draw_target(ProgressDrawTarget::stderr());
    bar.set_style(style);
    bar.set_message(what.to_owned());
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
