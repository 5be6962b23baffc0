//! Where a verb finds the supervisor: the run directory that the file names, even when the file is broken elsewhere.

use super::Global;
use crate::config;
use crate::plan::Layout;

/// Where things lie, as far as can be known without a sound file; the defaults where there is no file.
pub fn layout_of(global: &Global) -> Layout {
    let text = std::fs::read_to_string(&global.config).unwrap_or_default();
    Layout::new(config::run_dir(&text), config::state_dir(&text))
}
