//! Where a verb finds the supervisor: the run directory that the file names, even when the file is broken elsewhere.

use super::Global;
use crate::config;
use crate::model::Network;
use crate::plan::Layout;
use crate::supervisor::Sources;

/// Where things lie, as far as can be known without a sound file; the defaults where there is no file. Whoever names a pipe
/// wants that to be read; one in the place of the usual file is not waited for.
pub fn layout_of(global: &Global) -> Layout {
    layout(&text_of(global).0)
}

/// The same, and what the file means if it is sound.
pub fn layout_and_network(global: &Global) -> (Layout, Option<Network>) {
    let (text, mut sources) = text_of(global);
    let loaded = config::read(&global.config, &text, &mut |path| sources.named(path));
    (layout(&text), loaded.ok().map(|loaded| loaded.network))
}

fn text_of(global: &Global) -> (String, Sources) {
    let mut sources = if global.config_named { Sources::files() } else { Sources::regular_files() };
    (sources.configuration(&global.config).unwrap_or_default(), sources)
}

fn layout(text: &str) -> Layout {
    Layout::new(config::run_dir(text), config::state_dir(text))
}
