//! Where a verb finds the supervisor: the run directory that the file names, even when the file is broken elsewhere.

use super::Global;
use crate::config;
use crate::plan::Layout;
use crate::supervisor::Sources;

/// Where things lie, as far as can be known without a sound file; the defaults where there is no file. Whoever names a pipe
/// wants that to be read; one in the place of the usual file is not waited for.
pub fn layout_of(global: &Global) -> Layout {
    let mut sources = if global.config_named { Sources::files() } else { Sources::regular_files() };
    let text = sources.configuration(&global.config).unwrap_or_default();
    Layout::new(config::run_dir(&text), config::state_dir(&text))
}
