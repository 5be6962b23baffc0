//! Where programs are.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// Where daemons and tools are looked for, whatever `PATH` says: ordinary users often lack the `sbin` directories.
pub const SEARCH_PATH: [&str; 6] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// The path of a program, from `PATH` and then from [`SEARCH_PATH`].
pub fn find(program: impl AsRef<OsStr>) -> Option<PathBuf> {
    let program = program.as_ref();
    if program.as_bytes().contains(&b'/') {
        return Some(PathBuf::from(program));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places: Vec<PathBuf> = std::env::split_paths(&path).chain(SEARCH_PATH.iter().map(PathBuf::from)).collect();
    places.into_iter().map(|place| place.join(program)).find(is_executable)
}

fn is_executable(file: &PathBuf) -> bool {
    file.is_file() && nix::unistd::access(file, nix::unistd::AccessFlags::X_OK).is_ok()
}
