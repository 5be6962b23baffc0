//! Who is at the other end of a connection, as the kernel says.

use std::ffi::CString;
use std::io;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// How many user ids are looked up at one time. Where the user database is far away or gone, these wait for it and no more
/// of the runtime's threads do.
static LOOKUPS: Semaphore = Semaphore::const_new(4);
/// How long that may take.
const LOOKED_UP_WITHIN: Duration = Duration::from_secs(10);

/// The one who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Effective user id at `connect()`.
    pub uid: u32,
    /// Effective group id at `connect()`.
    pub gid: u32,
    /// Every group, `gid` included.
    pub groups: Vec<u32>,
    /// Process id at `connect()`, only for messages: it may be another's by now.
    pub pid: Option<i32>,
}

impl Caller {
    /// The caller behind a connection.
    ///
    /// The supplementary groups are those that the user database gives the user id, as for `polkit`: reading them from
    /// `/proc/PID/status` would race with the end of the process and the next use of its number.
    pub async fn of(stream: &UnixStream) -> io::Result<Self> {
        let credentials = stream.peer_cred()?;
        let (uid, gid) = (credentials.uid(), credentials.gid());
        let mut groups = vec![gid];
        if uid != 0 {
            let looked_up = async {
                let place = LOOKUPS.acquire().await.map_err(io::Error::other)?;
                let lookup = move || {
                    let _place = place;
                    groups_of(uid)
                };
                tokio::task::spawn_blocking(lookup).await?
            };
            groups.extend(timeout(LOOKED_UP_WITHIN, looked_up).await??);
        }
        Ok(Self { uid, gid, groups, pid: credentials.pid() })
    }
}

impl Caller {
    /// What to call the one who asks in a log: the user's name where there is one.
    pub fn name(&self) -> String {
        match nix::unistd::User::from_uid(self.uid.into()) {
            Ok(Some(user)) => user.name,
            _ => format!("uid {}", self.uid),
        }
    }
}

/// The number of a group; none where there is no such group, which then has no members.
pub fn group_id(name: &str) -> Option<u32> {
    nix::unistd::Group::from_name(name).ok().flatten().map(|group| group.gid.as_raw())
}

fn groups_of(uid: u32) -> io::Result<Vec<u32>> {
    let Some(user) = nix::unistd::User::from_uid(uid.into())? else {
        // A user id without a name, as in a container, has no groups but the one that the kernel names.
        return Ok(Vec::new());
    };
    let name = CString::new(user.name).map_err(|_| io::Error::other("a user name holds a NUL byte"))?;
    Ok(nix::unistd::getgrouplist(&name, user.gid)?.into_iter().map(nix::unistd::Gid::as_raw).collect())
}
