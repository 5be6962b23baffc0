//! The policy: what every state does with every event.

/// What a process is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// There is no process and none is wanted.
    Stopped,
    /// A process was asked for and is not there yet.
    Launching,
    /// The process is there and not ready.
    Starting,
    /// It is ready.
    Running,
    /// It was ready and now loads another configuration, during which it need not answer.
    Loading,
    /// It was ready and does not answer, but works: it is in the middle of something.
    Busy,
    /// It was ready and does not answer, nor does it work.
    Silent,
    /// It is being killed because it was not ready in time, did not answer for too long, or must begin again.
    Hung,
    /// It was asked to leave.
    Stopping,
    /// It did not leave when asked, and is being killed.
    Killing,
    /// It ended, and the next attempt is near.
    Backoff,
    /// It ended too often; attempts go on, far apart.
    Failed,
}

impl State {
    /// Every state, in the order of the table's rows.
    pub const ALL: [Self; 12] = [
        Self::Stopped,
        Self::Launching,
        Self::Starting,
        Self::Running,
        Self::Loading,
        Self::Busy,
        Self::Silent,
        Self::Hung,
        Self::Stopping,
        Self::Killing,
        Self::Backoff,
        Self::Failed,
    ];

    /// The word for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Launching | Self::Starting => "starting",
            Self::Running => "running",
            Self::Loading => "loading",
            Self::Busy => "busy",
            Self::Silent => "silent",
            Self::Hung => "hung",
            Self::Stopping | Self::Killing => "stopping",
            Self::Backoff => "restarting",
            Self::Failed => "failed",
        }
    }

    /// Whether a process exists in this state.
    pub fn has_process(self) -> bool {
        !matches!(self, Self::Stopped | Self::Launching | Self::Backoff | Self::Failed)
    }
}

/// The kind of an event: a column of the table. `Due` is a tick after the state's deadline; earlier ticks reach no row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Input {
    Want,
    Unwant,
    Spawned,
    NoSpawn,
    Adopted,
    Loading,
    Ready,
    Exited,
    Due,
    NoAnswer,
    Working,
    Answer,
    Renew,
}

/// What a cell of the table says. `machine.rs` carries it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// Nothing changes.
    Stay,
    /// Ask for a process → Launching.
    Launch,
    /// Note whether the process is wanted; what is under way decides at its end.
    Note,
    /// Nothing is there to end → Stopped.
    Rest,
    /// The process is there: poll it → Starting; or ask it to leave if it is wanted no more.
    Begin,
    /// A process from before is there: poll it → Starting.
    Adopt,
    /// There is no process → Backoff, Failed, or Stopped if it is wanted no more.
    Lost,
    /// The process left as it was asked → Stopped, or Launching if it is wanted again.
    Left,
    /// It is ready → Running.
    Up,
    /// It has another configuration to read → Loading.
    Load,
    /// It was loading and is done → Running.
    Loaded,
    /// It does not answer → Silent, which has a deadline.
    Doubt,
    /// It does not answer because it works → Busy, which has a later deadline.
    Bear,
    /// It did not answer until the deadline: kill it → Hung, unless it was hardly asked.
    Judge,
    /// It answers again → Running.
    Trust,
    /// Ask it to leave → Stopping, which has a deadline.
    Term,
    /// It did not leave: kill it → Killing.
    Kill,
    /// It is of no use: kill it → Hung, and another will follow.
    Replace,
    /// It is of no use as it is: kill it → Hung, and another will follow.
    Renew,
    /// A killed process is still there, in the kernel's hands: kill it again.
    Insist,
    /// It ran long enough: forget its past.
    Settle,
}

use Rule::{
    Adopt, Bear, Begin, Doubt, Insist, Judge, Kill, Launch, Left, Load, Loaded, Lost, Note, Renew, Replace, Rest,
    Settle, Stay, Term, Trust, Up,
};

/// One row for each state, one column for each kind of event.
#[rustfmt::skip]
const TABLE: [[Rule; 13]; 12] = [
    //               Want    Unwant  Spawned  NoSpawn  Adopted  Loading  Ready   Exited  Due      NoAnswer  Working  Answer  Renew
    /* Stopped   */ [Launch, Stay,   Stay,    Stay,    Adopt,   Stay,    Stay,   Stay,   Stay,    Stay,     Stay,    Stay,   Stay  ],
    /* Launching */ [Note,   Note,   Begin,   Lost,    Stay,    Stay,    Stay,   Lost,   Stay,    Stay,     Stay,    Stay,   Stay  ],
    /* Starting  */ [Stay,   Term,   Stay,    Stay,    Stay,    Stay,    Up,     Lost,   Replace, Stay,     Stay,    Stay,   Renew ],
    /* Running   */ [Stay,   Term,   Stay,    Stay,    Stay,    Load,    Stay,   Lost,   Settle,  Doubt,    Bear,    Stay,   Renew ],
    /* Loading   */ [Stay,   Term,   Stay,    Stay,    Stay,    Load,    Loaded, Lost,   Replace, Stay,     Stay,    Stay,   Renew ],
    /* Busy      */ [Stay,   Term,   Stay,    Stay,    Stay,    Load,    Trust,  Lost,   Judge,   Doubt,    Bear,    Trust,  Renew ],
    /* Silent    */ [Stay,   Term,   Stay,    Stay,    Stay,    Load,    Trust,  Lost,   Judge,   Doubt,    Bear,    Trust,  Renew ],
    /* Hung      */ [Note,   Note,   Stay,    Stay,    Stay,    Stay,    Stay,   Lost,   Insist,  Stay,     Stay,    Stay,   Stay  ],
    /* Stopping  */ [Note,   Note,   Stay,    Stay,    Stay,    Stay,    Stay,   Left,   Kill,    Stay,     Stay,    Stay,   Stay  ],
    /* Killing   */ [Note,   Note,   Stay,    Stay,    Stay,    Stay,    Stay,   Left,   Insist,  Stay,     Stay,    Stay,   Stay  ],
    /* Backoff   */ [Stay,   Rest,   Stay,    Stay,    Adopt,   Stay,    Stay,   Stay,   Launch,  Stay,     Stay,    Stay,   Stay  ],
    /* Failed    */ [Launch, Rest,   Stay,    Stay,    Adopt,   Stay,    Stay,   Stay,   Launch,  Stay,     Stay,    Stay,   Stay  ],
];

/// The rule for an event in a state.
pub(super) fn rule(state: State, input: Input) -> Rule {
    TABLE[state as usize][input as usize]
}
