//! Starting processes: in a domain's namespace, with its own view of `/etc`, without what must not be inherited.
//!
//! This is the only file that starts one. What runs already is a [`Process`].

mod activity;
mod confine;
mod identity;
mod limits;
mod list;
mod mounts;
mod pipe;
mod record;
mod running;
mod search;

pub use activity::Activity;
pub use identity::Identity;
pub use limits::raise_file_limit;
pub use list::{Listed, in_namespaces};
pub use mounts::{MountPlan, NAME_SERVICES};
pub use pipe::OutputPipe;
pub use record::{ProcessRecord, boot_id, start_time};
pub use running::{ExitStatus, Process, Signal};
pub use search::{SEARCH_PATH, find};

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::{self, Seek, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sched::CloneFlags;

use self::confine::Confinement;
use super::SysError;
use super::netns::{self, Namespace};

/// What is about to be started.
#[derive(Debug)]
#[must_use = "nothing is started before spawn or run_captured"]
#[expect(clippy::struct_excessive_bools, reason = "each is a choice of its own, made by a method of its own")]
pub struct Spawn {
    program: OsString,
    args: Vec<OsString>,
    clean_env: bool,
    env: Vec<(OsString, OsString)>,
    namespace: Option<Namespace>,
    mounts: Option<MountPlan>,
    stdin: Option<Vec<u8>>,
    output: Output,
    new_session: bool,
    confined: bool,
    identity: Option<Identity>,
    cgroup: Option<File>,
    unshare: CloneFlags,
    die_with_parent: bool,
    env_remove: Vec<OsString>,
}

/// Where standard output and standard error go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Where those of this process go.
    Inherit,
    /// Nowhere.
    Null,
    /// Into a named pipe, which is made if it is not there and which waits for no reader: see [`OutputPipe`].
    Pipe(PathBuf),
}

/// What a program that ran to its end said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Captured {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Captured {
    /// Whether it ended with exit code 0.
    pub fn success(&self) -> bool {
        self.status == ExitStatus::Code(0)
    }

    /// What it said, standard error before standard output, for an error message.
    pub fn words(&self) -> String {
        let said = [self.stderr.trim(), self.stdout.trim()];
        let said: Vec<&str> = said.into_iter().filter(|text| !text.is_empty()).collect();
        if said.is_empty() { self.status.to_string() } else { said.join("\n") }
    }
}

impl Spawn {
    /// A program, looked for in `PATH` and in [`SEARCH_PATH`].
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self {
            program: program.as_ref().to_owned(),
            args: Vec::new(),
            clean_env: false,
            env: Vec::new(),
            namespace: None,
            mounts: None,
            stdin: None,
            output: Output::Null,
            new_session: false,
            confined: false,
            identity: None,
            cgroup: None,
            unshare: CloneFlags::empty(),
            die_with_parent: false,
            env_remove: Vec::new(),
        }
    }

    /// One more argument.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// More arguments.
    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Gives it an environment of its own: `PATH` and the plain locale, and what [`Self::env`] adds.
    pub fn clean_env(mut self) -> Self {
        self.clean_env = true;
        self
    }

    /// Sets a variable of the environment.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Starts it inside a network namespace.
    pub fn namespace(mut self, namespace: &Namespace) -> Self {
        self.namespace = Some(namespace.clone());
        self
    }

    /// Gives it a mount namespace of its own with these mounts.
    pub fn mounts(mut self, mounts: MountPlan) -> Self {
        self.mounts = Some(mounts);
        self
    }

    /// What it reads from standard input; nothing otherwise. An anonymous file, so that no writer can block.
    pub fn stdin(mut self, text: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(text.into());
        self
    }

    /// Where its output goes; nowhere unless told.
    pub fn output(mut self, output: Output) -> Self {
        self.output = output;
        self
    }

    /// Makes it the leader of a new session, so that no terminal's signals reach it, without any file that whoever started
    /// this process had open.
    pub fn new_session(mut self) -> Self {
        self.new_session = true;
        self
    }

    /// Refuses it what no routing daemon needs and one that was taken over would try first: other namespaces, mounts, other
    /// processes, the kernel itself. Sets `no_new_privs`, too: no program that it runs gains anything from set-user-id bits or
    /// file capabilities.
    pub fn confined(mut self) -> Self {
        self.confined = true;
        self
    }

    /// Runs it as this user, without any capability and without a way to gain one.
    pub fn identity(mut self, identity: Identity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// Starts it in the cgroup whose `cgroup.procs` this is, so that it never was in another.
    pub fn cgroup(mut self, procs: Option<File>) -> Self {
        self.cgroup = procs;
        self
    }

    /// Lets it die with the thread that starts it, which must be the process's first.
    pub fn die_with_parent(mut self) -> Self {
        self.die_with_parent = true;
        self
    }

    /// Removes a variable of the environment.
    pub fn env_remove(mut self, name: impl AsRef<OsStr>) -> Self {
        self.env_remove.push(name.as_ref().to_owned());
        self
    }

    /// Gives it new namespaces of these kinds.
    pub fn unshare(mut self, kinds: CloneFlags) -> Self {
        self.unshare = kinds;
        self
    }

    /// Starts it. Returns when it has become the program, or with the reason why it could not.
    pub fn spawn(self) -> Result<Process, SysError> {
        let (stdout, stderr) = match &self.output {
            Output::Inherit => (Stdio::inherit(), Stdio::inherit()),
            Output::Null => (Stdio::null(), Stdio::null()),
            Output::Pipe(path) => {
                let pipe = pipe::writer(path).map_err(|error| SysError::path("open the pipe", path, error))?;
                let second = pipe.try_clone().map_err(|error| SysError::path("open the pipe", path, error))?;
                (Stdio::from(pipe), Stdio::from(second))
            }
        };
        self.start(stdout, stderr)
    }

    /// Starts it with a pipe as its standard error, whose other end is returned.
    pub fn spawn_heard(self) -> Result<(Process, io::PipeReader), SysError> {
        let (words, stderr) = io::pipe().map_err(|error| SysError::io("make a pipe", error))?;
        Ok((self.start(Stdio::null(), Stdio::from(stderr))?, words))
    }

    fn start(self, stdout: Stdio, stderr: Stdio) -> Result<Process, SysError> {
        let name = self.name();
        let mut command = self.command()?;
        let child = command.stdout(stdout).stderr(stderr).spawn().map_err(|error| cannot_start(&name, error))?;
        // Nobody else waits for this child, so its number cannot be given to another process before the pidfd is open.
        Process::open(child.id()).map_err(|error| SysError::io(format!("watch {name}"), error))
    }

    /// Runs it to its end, or kills it when `within` is over.
    pub async fn run_captured(self, within: Duration) -> Result<Captured, SysError> {
        let name = self.name();
        let child = self.spawn_piped().await?.map_err(|error| cannot_start(&name, error))?;
        let output = match tokio::time::timeout(within, child.wait_with_output()).await {
            Ok(output) => output.map_err(|error| SysError::io(format!("read the output of {name}"), error))?,
            Err(_) => return Err(SysError::Silent { program: name, what: "wait for it".to_owned(), within }),
        };
        let status = match (output.status.code(), output.status.signal()) {
            (Some(code), _) => ExitStatus::Code(code),
            (None, Some(signal)) => ExitStatus::Signal(signal),
            (None, None) => ExitStatus::Unknown,
        };
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ok(Captured { status, stdout: text(output.stdout), stderr: text(output.stderr) })
    }

    /// Starts it with pipes for its output. A thread that is in the namespace already starts it where that suffices: then
    /// there is nothing to do between fork and exec, and the C library need not copy this process (`posix_spawn`).
    async fn spawn_piped(mut self) -> Result<io::Result<tokio::process::Child>, SysError> {
        let inside = if self.needs_more_than_a_namespace() { None } else { self.namespace.take() };
        let mut command = tokio::process::Command::from(self.command()?);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let Some(namespace) = inside else { return Ok(command.spawn()) };
        let runtime = tokio::runtime::Handle::current();
        let spawned = namespace.run_async(move || {
            let _inside = runtime.enter();
            command.spawn()
        });
        Ok(spawned.await.and_then(|spawned| spawned))
    }

    fn needs_more_than_a_namespace(&self) -> bool {
        self.mounts.is_some()
            || self.new_session
            || self.confined
            || self.identity.is_some()
            || self.cgroup.is_some()
            || !self.unshare.is_empty()
            || self.die_with_parent
    }

    /// Becomes the program: only returns if that fails. For a process that has no other threads.
    pub fn exec(self) -> SysError {
        let name = self.name();
        match self.command() {
            Ok(mut command) => cannot_start(&name, command.exec()),
            Err(error) => error,
        }
    }

    fn name(&self) -> String {
        self.program.to_string_lossy().into_owned()
    }

    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    fn command(self) -> Result<Command, SysError> {
        let program = find(&self.program).ok_or_else(|| SysError::MissingProgram { program: self.name() })?;
        let mut command = Command::new(program);
        command.arg0(&self.program).args(&self.args);
        for (name, _) in std::env::vars_os() {
            if belongs_to_supervisor(&name) {
                command.env_remove(name);
            }
        }
        if self.clean_env {
            command.env_clear().env("PATH", SEARCH_PATH.join(":")).env("LC_ALL", "C");
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        match &self.stdin {
            Some(text) => {
                command.stdin(anonymous_file(text).map_err(|error| SysError::io("make a file in memory", error))?)
            }
            None if self.output == Output::Inherit => command.stdin(Stdio::inherit()),
            None => command.stdin(Stdio::null()),
        };
        for name in &self.env_remove {
            command.env_remove(name);
        }
        if !self.needs_more_than_a_namespace() && self.namespace.is_none() {
            return Ok(command);
        }
        let mut confinement = self.confined.then(Confinement::of_a_daemon).transpose()?;
        let Self { namespace, mounts, new_session, identity, cgroup, unshare, die_with_parent, .. } = self;
        let maps = unshare.contains(CloneFlags::CLONE_NEWUSER).then(netns::UserMaps::root_only);
        // SAFETY: the closure runs between fork and exec, where only async-signal-safe calls are allowed: it makes system
        // calls on values prepared before and neither allocates nor takes locks.
        unsafe {
            command.pre_exec(move || {
                if new_session {
                    nix::unistd::setsid()?;
                    close_on_exec()?;
                }
                if let Some(procs) = &cgroup {
                    // 0 is whoever writes.
                    nix::unistd::write(procs, b"0")?;
                }
                if !unshare.is_empty() {
                    netns::leave_for_good(unshare)?;
                }
                limits::restore()?;
                if let Some(maps) = &maps {
                    maps.write()?;
                }
                if let Some(namespace) = &namespace {
                    netns::enter_for_good(namespace.as_fd())?;
                }
                if let Some(mounts) = &mounts {
                    mounts.apply()?;
                }
                if let Some(identity) = &identity {
                    identity.assume()?;
                }
                if die_with_parent {
                    identity::die_with_parent()?;
                }
                if let Some(confinement) = &mut confinement {
                    confinement.apply()?;
                }
                Ok(())
            });
        }
        Ok(command)
    }
}

/// Makes what this process creates from now on writable by its owner alone, whatever it inherited.
pub fn set_umask() {
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
}

/// Leaves open for the program only its standard input, output and error. Makes a system call only.
fn close_on_exec() -> io::Result<()> {
    // SAFETY: close_range with these arguments reads no memory and closes nothing yet.
    let result = unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Points standard error of this process at nothing, so that whoever reads the other end sees its end.
pub fn silence() -> io::Result<()> {
    let nothing = OpenOptions::new().write(true).open("/dev/null")?;
    nix::unistd::dup2_stderr(nothing)?;
    Ok(())
}

/// How long a process has been running, in seconds.
pub fn uptime(pid: u32) -> io::Result<u64> {
    Ok(record::age(start_time(pid)?)?.as_secs())
}

/// Variables by which a service manager (or rdsup) talks to one process and not to what that starts.
fn belongs_to_supervisor(name: &OsStr) -> bool {
    let name = name.as_bytes();
    name == b"NOTIFY_SOCKET"
        || [&b"LISTEN_"[..], b"WATCHDOG_", b"RDSUP_", b"FDSTORE"].iter().any(|prefix| name.starts_with(prefix))
}

fn anonymous_file(text: &[u8]) -> io::Result<File> {
    let fd = nix::sys::memfd::memfd_create(c"rdsup-stdin", nix::sys::memfd::MFdFlags::MFD_CLOEXEC)?;
    let mut file = File::from(fd);
    file.write_all(text)?;
    file.rewind()?;
    Ok(file)
}

fn cannot_start(program: &str, error: io::Error) -> SysError {
    if error.kind() == io::ErrorKind::NotFound {
        SysError::MissingProgram { program: program.to_owned() }
    } else {
        SysError::io(format!("start {program}"), error)
    }
}
