//! Who runs in which network namespace.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;

/// A process as `/proc` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its number.
    pub pid: u32,
    /// Its effective user.
    pub uid: u32,
    /// Its command line; the program's name in brackets where it has none.
    pub command: String,
    /// How long it has been running, in seconds.
    pub seconds: u64,
    /// The inode of its network namespace.
    pub namespace: u64,
}

/// The processes in these network namespaces, by number. Those that this user may not look at are left out, and so are
/// those that end meanwhile.
pub fn in_namespaces(wanted: impl Fn(u64) -> bool) -> io::Result<Vec<Listed>> {
    let pids = fs::read_dir("/proc")?.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let mut found: Vec<Listed> = pids.filter_map(|pid| look(pid, &wanted)).collect();
    found.sort_by_key(|process| process.pid);
    Ok(found)
}

fn look(pid: u32, wanted: impl Fn(u64) -> bool) -> Option<Listed> {
    let namespace = fs::metadata(format!("/proc/{pid}/ns/net")).ok()?.ino();
    if !wanted(namespace) {
        return None;
    }
    // The owner of the directory would be root for a process that has dropped privileges.
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let uid = field("Uid:")?.split_whitespace().nth(1)?.parse().ok()?;
    let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let words: Vec<String> = line
        .split(|byte| *byte == 0)
        .filter(|word| !word.is_empty())
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect();
    let command = if words.is_empty() { format!("[{}]", field("Name:")?) } else { words.join(" ") };
    let seconds = super::uptime(pid).ok()?;
    Some(Listed { pid, uid, command, seconds, namespace })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_in_its_own_namespace_and_in_no_other() {
        let own = fs::metadata("/proc/self/ns/net").unwrap().ino();
        let found = in_namespaces(|namespace| namespace == own).unwrap();
        let this = found.iter().find(|process| process.pid == std::process::id()).unwrap();
        assert_eq!(this.uid, nix::unistd::geteuid().as_raw());
        assert!(this.command.contains("rdsup"), "{this:?}");
        assert!(in_namespaces(|_| false).unwrap().is_empty());
    }
}
