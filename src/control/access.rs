//! Who may ask what: a pure function of the request, the caller and the rules.

use std::collections::BTreeMap;

use super::peer::Caller;
use super::protocol::{Asked, CallError, ErrorKind, Request};
use crate::daemons::{Access, Query};
use crate::model::{Domain, DomainName, Network};

/// The group whose members may do everything.
pub const ADMIN_GROUP: &str = "rdsup";

/// Groups by number, resolved when the configuration was read: a group that does not exist has no members.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessRules {
    /// Group [`ADMIN_GROUP`].
    pub admins: Option<u32>,
    /// Every domain with its groups.
    pub domains: BTreeMap<DomainName, DomainGroups>,
}

/// The groups of one domain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DomainGroups {
    /// May use its `ctl`.
    pub operators: Option<u32>,
    /// May look.
    pub viewers: Option<u32>,
}

impl AccessRules {
    /// The rules of a network; `group_id` finds a group's number.
    pub fn of(network: &Network, group_id: impl Fn(&str) -> Option<u32>) -> Self {
        let number = |name: &Option<String>| name.as_deref().and_then(&group_id);
        let groups =
            |domain: &Domain| DomainGroups { operators: number(&domain.operators), viewers: number(&domain.viewers) };
        Self {
            admins: group_id(ADMIN_GROUP),
            domains: network.domains.iter().map(|domain| (domain.name.clone(), groups(domain))).collect(),
        }
    }
}

/// How much a caller may do at all, whatever it is going to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// Nothing but to learn the version.
    Nothing,
    /// Look at a domain, or use its `ctl`.
    Something,
    /// Everything.
    Everything,
}

/// What a caller is to these rules.
pub fn rank(caller: &Caller, rules: &AccessRules) -> Rank {
    if is_admin(caller, rules) {
        Rank::Everything
    } else if is_member(caller, rules) {
        Rank::Something
    } else {
        Rank::Nothing
    }
}

/// Why not, in words for the caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} is not allowed for uid {uid}: {why}")]
pub struct Denied {
    /// What was asked for, such as `ctl private`.
    pub what: String,
    /// Who asked.
    pub uid: u32,
    /// Who may.
    pub why: String,
}

impl From<Denied> for CallError {
    fn from(denied: Denied) -> Self {
        Self { kind: ErrorKind::Denied, message: denied.to_string(), hint: Some("sudo rdsup …".to_owned()) }
    }
}

/// Whether `caller` may make `request`. A `Ctl` of all domains is allowed to whoever may ask one of them: the answer then
/// holds those that [`ctl_access`] allows.
pub fn allowed(request: &Request, caller: &Caller, rules: &AccessRules) -> Result<(), Denied> {
    let deny = |what: String, why: &str| Err(Denied { what, uid: caller.uid, why: why.to_owned() });
    // Errors quote the lines they are about, so it would show any file to whoever may ask.
    let other_file = matches!(request, Request::Plan { file: Some(_) } | Request::Apply { file: Some(_), .. });
    if other_file && caller.uid != 0 {
        return deny(format!("{} of another file", request.what()), "it takes root, who reads the file");
    }
    if is_admin(caller, rules) {
        return Ok(());
    }
    match request {
        // It tells nothing but a version.
        Request::Ping {} => Ok(()),
        Request::Status { .. } | Request::Events { .. } => {
            if is_member(caller, rules) {
                Ok(())
            } else {
                deny(request.what().to_owned(), "it takes root, group rdsup, or a domain's operators or viewers group")
            }
        }
        Request::Ctl { domains: Asked::Some(names), command, raw } => {
            names.iter().try_for_each(|name| ctl_access(name, command, *raw, caller, rules).map(drop))
        }
        Request::Ctl { domains: Asked::All, command, raw } => {
            let mut denied = None;
            for name in rules.domains.keys() {
                match ctl_access(name, command, *raw, caller, rules) {
                    Ok(_) => return Ok(()),
                    Err(error) => denied = Some(error),
                }
            }
            match denied {
                Some(Denied { why, .. }) => deny("ctl '*'".to_owned(), &why),
                None => Ok(()),
            }
        }
        Request::Plan { .. }
        | Request::Apply { .. }
        | Request::Confirm {}
        | Request::Rollback { .. }
        | Request::History {}
        | Request::Generation { .. }
        | Request::Stop { .. } => deny(request.what().to_owned(), "it takes root or group rdsup"),
    }
}

/// How `caller` may ask the daemon of one domain this command.
pub fn ctl_access(
    domain: &DomainName,
    command: &str,
    raw: bool,
    caller: &Caller,
    rules: &AccessRules,
) -> Result<Access, Denied> {
    let groups = rules.domains.get(domain).copied().unwrap_or_default();
    if is_admin(caller, rules) || has(caller, groups.operators) {
        return Ok(Access::Full);
    }
    let why = if !has(caller, groups.viewers) {
        "it takes root, group rdsup, or the domain's operators or viewers group"
    } else if Query::parse(command, raw).is_ok_and(|query| query.only_looks()) {
        return Ok(Access::Look);
    } else {
        "viewers may only show"
    };
    Err(Denied { what: format!("ctl {domain}"), uid: caller.uid, why: why.to_owned() })
}

fn is_admin(caller: &Caller, rules: &AccessRules) -> bool {
    caller.uid == 0 || has(caller, rules.admins)
}

/// Whether it is an operator or a viewer of any domain.
fn is_member(caller: &Caller, rules: &AccessRules) -> bool {
    rules.domains.values().any(|groups| has(caller, groups.operators) || has(caller, groups.viewers))
}

fn has(caller: &Caller, group: Option<u32>) -> bool {
    group.is_some_and(|group| caller.groups.contains(&group))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADMINS: u32 = 100;
    const OPERATORS: u32 = 200;
    const VIEWERS: u32 = 300;

    fn domain(name: &str) -> DomainName {
        DomainName::new(name).expect("a legal name")
    }

    fn rules() -> AccessRules {
        AccessRules {
            admins: Some(ADMINS),
            domains: BTreeMap::from([
                (domain("private"), DomainGroups { operators: Some(OPERATORS), viewers: Some(VIEWERS) }),
                (domain("hostile"), DomainGroups::default()),
            ]),
        }
    }

    fn ctl(domains: Asked, command: &str) -> Request {
        Request::Ctl { domains, command: command.to_owned(), raw: false }
    }

    fn requests() -> Vec<Request> {
        let one = |name| Asked::Some(vec![domain(name)]);
        vec![
            Request::Ping {},
            Request::Status { counters: false },
            ctl(one("private"), "show bgp"),
            ctl(one("private"), "disable all"),
            ctl(one("hostile"), "show bgp"),
            ctl(Asked::Some(vec![domain("private"), domain("hostile")]), "show bgp"),
            ctl(Asked::All, "show bgp"),
            ctl(Asked::All, "down"),
            Request::Plan { file: None },
            Request::Apply { file: None, config: None, confirm: None },
            Request::Stop { keep: false },
        ]
    }

    /// One letter for each request: `y` allowed, `-` denied.
    fn verdicts(uid: u32, groups: &[u32]) -> String {
        let caller = Caller { uid, gid: 1000, groups: groups.to_vec(), pid: None };
        let verdict = |request: &Request| if allowed(request, &caller, &rules()).is_ok() { 'y' } else { '-' };
        requests().iter().map(verdict).collect()
    }

    #[test]
    fn root_and_group_rdsup_may_do_everything() {
        assert_eq!(verdicts(0, &[]), "yyyyyyyyyyy");
        assert_eq!(verdicts(1000, &[1000, ADMINS]), "yyyyyyyyyyy");
    }

    #[test]
    fn operators_may_ctl_their_domain_and_nothing_else() {
        assert_eq!(verdicts(1000, &[OPERATORS]), "yyyy--yy---");
    }

    #[test]
    fn viewers_may_only_look_at_their_domain() {
        assert_eq!(verdicts(1000, &[VIEWERS]), "yyy---y----");
    }

    #[test]
    fn strangers_may_learn_the_version() {
        assert_eq!(verdicts(1000, &[1000]), "y----------");
    }

    #[test]
    fn the_rank_of_a_caller_is_what_it_may_do_at_all() {
        let rank = |uid, group| rank(&Caller { uid, gid: 1000, groups: vec![group], pid: None }, &rules());
        assert_eq!((rank(0, 1000), rank(1000, ADMINS)), (Rank::Everything, Rank::Everything));
        assert_eq!((rank(1000, OPERATORS), rank(1000, VIEWERS)), (Rank::Something, Rank::Something));
        assert_eq!(rank(1000, 1000), Rank::Nothing);
    }

    #[test]
    fn viewers_are_restricted_by_the_daemon_too_and_operators_are_not() {
        let caller = |group| Caller { uid: 1000, gid: 1000, groups: vec![group], pid: None };
        let access = |group| ctl_access(&domain("private"), "show protocols", false, &caller(group), &rules());
        assert_eq!(access(VIEWERS), Ok(Access::Look));
        assert_eq!(access(OPERATORS), Ok(Access::Full));
    }

    #[test]
    fn only_root_may_have_another_file_read() {
        let plan = Request::Plan { file: Some("/etc/shadow".to_owned()) };
        for (uid, may) in [(0, true), (1000, false)] {
            let caller = Caller { uid, gid: 1000, groups: vec![ADMINS], pid: None };
            assert_eq!(allowed(&plan, &caller, &rules()).is_ok(), may, "uid {uid}");
        }
    }

    #[test]
    fn a_denial_says_what_for_whom_and_who_may() {
        let caller = Caller { uid: 1000, gid: 1000, groups: Vec::new(), pid: None };
        let denied = allowed(&Request::Stop { keep: true }, &caller, &rules()).expect_err("it is denied");
        assert_eq!(denied.to_string(), "stop is not allowed for uid 1000: it takes root or group rdsup");
    }

    #[test]
    fn a_domain_without_groups_gives_a_user_without_groups_nothing() {
        let caller = Caller { uid: 1000, gid: 1000, groups: Vec::new(), pid: None };
        let rules = AccessRules { admins: None, domains: rules().domains };
        assert!(ctl_access(&domain("hostile"), "show bgp", false, &caller, &rules).is_err());
    }
}
