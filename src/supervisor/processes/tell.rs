//! The one place from which people hear of a daemon.

use crate::model::DaemonName;
use crate::supervise::Report;

/// Tells of a daemon, with what it said last where it ended.
pub(super) fn tell(name: &DaemonName, report: &Report, last_words: &[String]) {
    let (domain, program) = (&name.domain, name.program.as_str());
    let words = (!last_words.is_empty()).then(|| last_words.join(" | "));
    match report {
        Report::Failed { .. } => tracing::error!(%domain, program, ?report, last_words = words, "daemon {report}"),
        Report::Hung { .. } | Report::WillNotDie => tracing::error!(%domain, program, ?report, "daemon {report}"),
        Report::Lost { .. } => tracing::warn!(%domain, program, ?report, last_words = words, "daemon {report}"),
        Report::NotReadyInTime { .. } | Report::Busy | Report::Silent | Report::WillNotStop => {
            tracing::warn!(%domain, program, ?report, "daemon {report}");
        }
        Report::Stable => tracing::debug!(%domain, program, ?report, "daemon {report}"),
        _ => tracing::info!(%domain, program, ?report, "daemon {report}"),
    }
}
