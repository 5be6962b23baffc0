//! Whether this process may do what routing domains need.

use std::fs;

use super::SysError;

/// `CAP_NET_ADMIN` and `CAP_SYS_ADMIN`, by their numbers in `linux/capability.h`.
const NEEDED: [(u8, &str); 2] = [(12, "CAP_NET_ADMIN"), (21, "CAP_SYS_ADMIN")];

/// Fails unless the effective capabilities allow to make namespaces and to configure networks.
pub fn require() -> Result<(), SysError> {
    let status = fs::read_to_string("/proc/thread-self/status")
        .map_err(|error| SysError::io("read /proc/thread-self/status", error))?;
    let missing = missing(&status);
    if missing.is_empty() { Ok(()) } else { Err(SysError::NotPrivileged { missing: missing.join(" and ") }) }
}

fn missing(status: &str) -> Vec<&'static str> {
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or_default();
    NEEDED.into_iter().filter(|(number, _)| effective & (1 << number) == 0).map(|(_, name)| name).collect()
}

/// Sysctls by which a system forbids user namespaces to ordinary users, each with the value that forbids them.
const USER_NAMESPACES: [(&str, &str, &str); 3] = [
    ("user.max_user_namespaces", "0", "sysctl -w user.max_user_namespaces=10000"),
    ("kernel.unprivileged_userns_clone", "0", "sysctl -w kernel.unprivileged_userns_clone=1"),
    ("kernel.apparmor_restrict_unprivileged_userns", "1", "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"),
];

/// What forbids user namespaces to ordinary users: the sysctl with its value, and the command that allows them.
pub fn user_namespaces_forbidden() -> Option<(String, &'static str)> {
    USER_NAMESPACES.iter().find_map(|(name, forbidding, command)| {
        let value = fs::read_to_string(format!("/proc/sys/{}", name.replace('.', "/"))).ok()?;
        (value.trim() == *forbidding).then(|| (format!("{name} is {forbidding}"), *command))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(missing("CapEff:\t0000000000000000\n"), ["CAP_NET_ADMIN", "CAP_SYS_ADMIN"]);
        assert_eq!(missing("CapEff:\t0000000000001000\n"), ["CAP_SYS_ADMIN"]);
        assert!(missing("CapInh:\t0\nCapEff:\t000001ffffffffff\n").is_empty());
    }
}
