//! What BIRD 2.0.12 does when an option of a BGP protocol or of one of its channels changes: `bgp_reconfigure()`,
//! `bgp_channel_reconfigure()`, `channel_reconfigure()` and `proto_reconfigure()`.

/// What a change of an option does to a session that is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// The protocol is restarted: it is among what `bgp_reconfigure()` compares byte by byte, or is agreed on in OPEN.
    Restart,
    /// Routes are asked for again: without import table and without route refresh (RFC 2918) that takes a restart.
    Import,
    /// What counts from the next route on; what is there too many already may close the session.
    Limit,
    /// A restart if the channel is not up, nothing otherwise.
    RestartIfDown,
    /// Nothing that is seen at the other end, or routes are sent again.
    Nothing,
}

/// How the value of an option is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `on`, `off`, their synonyms, or nothing, which is `on`.
    Switch,
    /// Words. With the form that stands for none at all.
    Value(&'static str),
    /// No value: the words say it.
    Fixed(&'static str),
    /// What must not be printed.
    Secret,
}

/// One form of an option. Several forms may set the same.
#[derive(Debug)]
pub(super) struct Spelling {
    /// The words it starts with.
    pub(super) words: &'static [&'static str],
    /// What it sets, as people call it.
    pub(super) sets: &'static str,
    /// How the value is written.
    pub(super) form: Form,
}

/// One option.
#[derive(Debug)]
pub(super) struct Setting {
    /// Its name for people.
    pub(super) name: &'static str,
    /// What it is where nothing sets it.
    pub(super) default: &'static str,
    /// What a change of it does.
    pub(super) effect: Effect,
}

macro_rules! options {
    ($spellings:ident, $settings:ident: $($effect:ident $name:literal $default:literal = [$($first:literal $($word:literal)* : $form:expr),+];)*) => {
        /// Every form in which an option may be written.
        pub(super) const $spellings: &[Spelling] = &[
            $($(Spelling { words: &[$first $(, $word)*], sets: $name, form: $form }),+),*
        ];
        /// Every option.
        pub(super) const $settings: &[Setting] = &[
            $(Setting { name: $name, default: $default, effect: Effect::$effect }),*
        ];
    };
}

const SWITCH: Form = Form::Switch;
const VALUE: Form = Form::Value("");

// `local` and `neighbor` set several at once and are read apart.
options! { SPELLINGS, SETTINGS:
    Restart "AS number" "" = ["local as": VALUE];
    Restart "AS number of the neighbor" "" = ["neighbor as": VALUE];
    Restart "own address" "" = ["source" "address": VALUE];
    Restart "address of the neighbor" "" = ["neighbor address": VALUE];
    Restart "port" "179" = ["local port": VALUE];
    Restart "port of the neighbor" "179" = ["neighbor port": VALUE];
    Restart "kind of the neighbor" "" = ["neighbor kind": VALUE];
    Restart "interface" "" = ["interface": VALUE];
    Restart "multihop" "" = ["multihop": Form::Value("64"), "direct": Form::Fixed("direct")];
    Restart "role" "none" = ["local" "role": VALUE];
    Restart "require roles" "off" = ["require" "roles": SWITCH];
    Restart "password" "" = ["password": Form::Secret];
    Restart "ttl security" "off" = ["ttl" "security": SWITCH];
    Restart "hold time" "240" = ["hold" "time": VALUE];
    Restart "min hold time" "0" = ["min" "hold" "time": VALUE];
    Restart "startup hold time" "240" = ["startup" "hold" "time": VALUE];
    Restart "keepalive time" "0" = ["keepalive" "time": VALUE];
    Restart "min keepalive time" "0" = ["min" "keepalive" "time": VALUE];
    Restart "connect delay time" "5" = ["connect" "delay" "time": VALUE, "start" "delay" "time": VALUE];
    Restart "connect retry time" "120" = ["connect" "retry" "time": VALUE];
    Restart "error forget time" "300" = ["error" "forget" "time": VALUE];
    Restart "error wait time" "60, 300" = ["error" "wait" "time": VALUE];
    Restart "disable after error" "off" = ["disable" "after" "error": SWITCH];
    Restart "disable after cease" "off" = ["disable" "after" "cease": SWITCH];
    Restart "graceful restart" "aware" = ["graceful" "restart": SWITCH];
    Restart "graceful restart time" "120" = ["graceful" "restart" "time": VALUE];
    Restart "long lived graceful restart" "" = ["long" "lived" "graceful" "restart": SWITCH];
    Restart "long lived stale time" "3600" = ["long" "lived" "stale" "time": VALUE];
    Restart "enforce first as" "off" = ["enforce" "first" "as": SWITCH];
    Restart "strict bind" "off" = ["strict" "bind": SWITCH];
    Restart "free bind" "off" = ["free" "bind": SWITCH];
    Restart "path metric" "on" = ["path" "metric": SWITCH];
    Restart "med metric" "off" = ["med" "metric": SWITCH];
    Restart "igp metric" "on" = ["igp" "metric": SWITCH];
    Restart "prefer older" "off" = ["prefer" "older": SWITCH];
    Restart "deterministic med" "off" = ["deterministic" "med": SWITCH];
    Restart "default bgp_local_pref" "100" = ["default" "bgp_local_pref": VALUE];
    Restart "default bgp_med" "0" = ["default" "bgp_med": VALUE];
    // By default 2, which is on and yet not the same when bytes are compared.
    Restart "capabilities" "the default" = ["capabilities": SWITCH];
    Restart "enable route refresh" "on" = ["enable" "route" "refresh": SWITCH];
    Restart "enable as4" "on" = ["enable" "as4": SWITCH];
    Restart "enable extended messages" "off" = ["enable" "extended" "messages": SWITCH];
    Restart "advertise hostname" "off" = ["advertise" "hostname": SWITCH];
    Restart "rr cluster id" "" = ["rr" "cluster" "id": VALUE];
    Restart "rr client" "off" = ["rr" "client": SWITCH];
    Restart "rs client" "off" = ["rs" "client": SWITCH];
    Restart "confederation" "" = ["confederation": VALUE];
    Restart "confederation member" "off" = ["confederation" "member": SWITCH];
    Restart "passive" "off" = ["passive": SWITCH];
    Restart "interpret communities" "on" = ["interpret" "communities": SWITCH];
    Restart "allow local as" "0" = ["allow" "local" "as": Form::Value("any")];
    Restart "allow bgp_local_pref" "off" = ["allow" "bgp_local_pref": SWITCH];
    Restart "allow as sets" "on" = ["allow" "as" "sets": SWITCH];
    Restart "setkey" "on" = ["setkey": SWITCH];
    Restart "dynamic name" "" = ["dynamic" "name": VALUE];
    Restart "dynamic name digits" "0" = ["dynamic" "name" "digits": VALUE];
    Restart "disabled" "off" = ["disabled": SWITCH];
    Restart "vrf" "" = ["vrf": VALUE];
    Restart "router id" "" = ["router" "id": VALUE];
    Nothing "check link" "" = ["check" "link": SWITCH];
    Nothing "bfd" "off" = ["bfd": SWITCH];
    Nothing "description" "" = ["description": VALUE];
    Nothing "debug" "" = ["debug": VALUE];
    Nothing "mrtdump" "" = ["mrtdump": VALUE];
}

options! { CHANNEL_SPELLINGS, CHANNEL_SETTINGS:
    Import "import" "" = ["import": VALUE];
    Nothing "export" "" = ["export": VALUE];
    Import "preference" "100" = ["preference": VALUE];
    Import "gateway" "" = ["gateway": VALUE];
    Import "next hop prefer" "" = ["next" "hop" "prefer": VALUE];
    Import "aigp" "" = ["aigp": SWITCH];
    Import "cost" "" = ["cost": VALUE];
    Limit "import limit" "off" = ["import" "limit": VALUE];
    Limit "export limit" "off" = ["export" "limit": VALUE];
    Limit "receive limit" "off" = ["receive" "limit": VALUE];
    Nothing "import keep filtered" "off" = ["import" "keep" "filtered": SWITCH];
    Nothing "rpki reload" "on" = ["rpki" "reload": SWITCH];
    Nothing "next hop address" "" = ["next" "hop" "address": VALUE];
    Nothing "next hop self" "off" = ["next" "hop" "self": SWITCH];
    Nothing "next hop keep" "" = ["next" "hop" "keep": SWITCH];
    Nothing "missing lladdr" "" = ["missing" "lladdr": VALUE];
    Nothing "debug" "" = ["debug": VALUE];
    RestartIfDown "mandatory" "off" = ["mandatory": SWITCH];
    Restart "table" "" = ["table": VALUE];
    Restart "import table" "off" = ["import" "table": SWITCH];
    Restart "export table" "off" = ["export" "table": SWITCH];
    Restart "extended next hop" "off" = ["extended" "next" "hop": SWITCH];
    Restart "add paths" "off" = ["add" "paths": SWITCH];
    Restart "secondary" "off" = ["secondary": SWITCH];
    Restart "validate" "off" = ["validate": SWITCH];
    Restart "graceful restart" "" = ["graceful" "restart": SWITCH];
    Restart "long lived graceful restart" "" = ["long" "lived" "graceful" "restart": SWITCH];
    Restart "long lived stale time" "" = ["long" "lived" "stale" "time": VALUE];
    Restart "igp table" "" = ["igp" "table": VALUE];
    Restart "base table" "" = ["base" "table": VALUE];
}
