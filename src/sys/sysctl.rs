//! Sysctls of a namespace: `/proc/sys/net` shows that of the thread which looks.

use std::collections::BTreeMap;
use std::fs;
use std::io;

use super::SysError;
use super::netns::Namespace;
use crate::plan::Sysctl;

/// The values of those keys that can be read, such as `net/ipv4/ip_forward`.
pub async fn read(namespace: &Namespace, keys: Vec<String>) -> io::Result<BTreeMap<String, String>> {
    namespace.run_async(move || read_here(keys)).await
}

/// The same on a thread that is in the namespace already.
pub(super) fn read_here(keys: impl IntoIterator<Item = String>) -> BTreeMap<String, String> {
    let value = |key: &str| fs::read_to_string(path(key)).ok().map(|text| text.trim().replace('\t', " "));
    keys.into_iter().filter_map(|key| value(&key).map(|value| (key, value))).collect()
}

/// Writes values, in order; stops at the first that fails.
pub async fn write(namespace: &Namespace, values: Vec<Sysctl>) -> Result<(), SysError> {
    namespace
        .run_async(move || values.iter().try_for_each(write_here))
        .await
        .map_err(|error| SysError::io("enter the namespace", error))?
}

#[expect(clippy::disallowed_methods, reason = "a sysctl is no file that could be replaced by another")]
fn write_here(sysctl: &Sysctl) -> Result<(), SysError> {
    fs::write(path(&sysctl.key), &sysctl.value)
        .map_err(|error| SysError::io(format!("set {} to {}", sysctl.dotted(), sysctl.value), error))
}

fn path(key: &str) -> String {
    format!("/proc/sys/{key}")
}
