//! Who has a place at the supervisor's socket, and who makes room for whom.
//!
//! Everybody on the machine may connect, and whoever has as many user ids as he likes has as many connections. So those
//! who may do everything have places of their own, and one who waits for nothing makes room for one who comes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use super::access::Rank;

/// Connections at one time of those who may not do everything.
const MOST_CONNECTIONS: usize = 256;
/// Connections beyond that for those who may.
const RESERVE: usize = 64;
/// Connections at one time of one user who may not do everything, so that nobody can keep others out.
pub(super) const MOST_OF_ONE_USER: usize = 64;

/// Every connection that is served.
#[derive(Debug, Default)]
pub(super) struct Places(Mutex<Room>);

#[derive(Debug, Default)]
struct Room {
    /// Counts what happens, for the order in which it did.
    clock: u64,
    seats: BTreeMap<u64, Seat>,
}

#[derive(Debug)]
struct Seat {
    uid: u32,
    rank: Rank,
    /// Since when nothing was asked; none while something is carried out.
    idle_since: Option<u64>,
    leave: CancellationToken,
}

/// The place of one connection, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    number: u64,
    /// Cancelled when the place is needed for somebody else.
    pub leave: CancellationToken,
}

impl Places {
    /// A place for one more connection, or why there is none. Somebody who waits for nothing may have to leave.
    pub fn enter(self: &Arc<Self>, uid: u32, rank: Rank) -> Result<Place, String> {
        let mut room = self.room();
        let of_this_user = room.seats.values().filter(|seat| seat.uid == uid).count();
        if rank < Rank::Everything && of_this_user >= MOST_OF_ONE_USER {
            return Err(format!("uid {uid} has {MOST_OF_ONE_USER} connections already"));
        }
        if !room.has_room_for(rank) && !room.make_room_for(rank) {
            return Err("too many requests are being carried out; try again later".to_owned());
        }
        let (number, leave) = (room.tick(), CancellationToken::new());
        room.seats.insert(number, Seat { uid, rank, idle_since: Some(number), leave: leave.clone() });
        Ok(Place { places: Arc::clone(self), number, leave })
    }

    fn room(&self) -> MutexGuard<'_, Room> {
        // Nothing can be half done while it is locked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Room {
    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    fn has_room_for(&self, rank: Rank) -> bool {
        let others = self.seats.values().filter(|seat| seat.rank < Rank::Everything).count();
        self.seats.len() < MOST_CONNECTIONS + RESERVE && (rank == Rank::Everything || others < MOST_CONNECTIONS)
    }

    /// Of those who wait for nothing and may do no more than the one who comes, one leaves: of the lowest rank, of the user
    /// with the most connections, the one who has waited longest.
    fn make_room_for(&mut self, rank: Rank) -> bool {
        let mut of_user: BTreeMap<u32, usize> = BTreeMap::new();
        for seat in self.seats.values() {
            *of_user.entry(seat.uid).or_default() += 1;
        }
        let order = |seat: &Seat| {
            let most_first = std::cmp::Reverse(of_user.get(&seat.uid).copied());
            seat.idle_since.filter(|_| seat.rank <= rank).map(|since| (seat.rank, most_first, since))
        };
        let idle = self.seats.iter().filter_map(|(number, seat)| Some((order(seat)?, *number)));
        let Some((_, number)) = idle.min() else { return false };
        if let Some(seat) = self.seats.remove(&number) {
            seat.leave.cancel();
        }
        true
    }
}

impl Place {
    /// Something is asked. Answers whether the place is still there: if not, it is too late for that.
    pub fn is_asked(&self) -> bool {
        self.seat(|seat, _| seat.idle_since = None)
    }

    /// Nothing is asked any more.
    pub fn is_answered(&self) {
        self.seat(|seat, now| seat.idle_since = Some(now));
    }

    fn seat(&self, change: impl FnOnce(&mut Seat, u64)) -> bool {
        let mut room = self.places.room();
        let now = room.tick();
        room.seats.get_mut(&self.number).map(|seat| change(seat, now)).is_some()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.room().seats.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enter(places: &Arc<Places>, uid: u32, rank: Rank, count: usize) -> Vec<Place> {
        (0..count).filter_map(|_| places.enter(uid, rank).ok()).collect()
    }

    fn left(places: &[Place]) -> Vec<usize> {
        let all = places.iter().enumerate();
        all.filter(|(_, place)| place.leave.is_cancelled()).map(|(number, _)| number).collect()
    }

    #[test]
    fn one_user_cannot_take_every_place_and_who_may_do_everything_is_never_kept_out() {
        let places = Arc::new(Places::default());
        let mut taken = enter(&places, 1000, Rank::Something, MOST_OF_ONE_USER + 1);
        assert_eq!(taken.len(), MOST_OF_ONE_USER);
        assert!(places.enter(1000, Rank::Something).is_err_and(|words| words.contains("uid 1000 has 64")));
        assert!(places.enter(1001, Rank::Something).is_ok());
        taken.pop();
        assert!(places.enter(1000, Rank::Something).is_ok());
        let root = enter(&places, 0, Rank::Everything, MOST_OF_ONE_USER + 1);
        assert_eq!(root.len(), MOST_OF_ONE_USER + 1);
        assert!(left(&taken).is_empty(), "there was room for all");
    }

    #[test]
    fn when_every_place_is_taken_there_is_a_reserve_for_who_may_do_everything() {
        let places = Arc::new(Places::default());
        let all: Vec<Place> = (0..4).flat_map(|uid| enter(&places, 100_000 + uid, Rank::Nothing, 64)).collect();
        assert_eq!(all.len(), MOST_CONNECTIONS);
        // All of them have something carried out, so nobody makes room.
        assert!(all.iter().all(Place::is_asked));
        assert!(places.enter(1000, Rank::Something).is_err_and(|words| words.contains("try again")));
        assert_eq!(enter(&places, 0, Rank::Everything, 2 * RESERVE).len(), 2 * RESERVE, "its own idle ones make room");
        let busy = enter(&places, 0, Rank::Everything, RESERVE);
        assert!(busy.iter().all(Place::is_asked));
        assert!(places.enter(0, Rank::Everything).is_err());
        all[7].is_answered();
        assert!(places.enter(0, Rank::Everything).is_ok());
        assert_eq!(left(&all), [7]);
        assert!(!all[7].is_asked(), "what it asks now is not carried out");
    }

    #[test]
    fn the_one_who_makes_room_is_of_the_lowest_rank_then_of_the_greediest_and_has_waited_longest() {
        let places = Arc::new(Places::default());
        let modest = enter(&places, 1, Rank::Nothing, 40);
        let viewer = enter(&places, 1000, Rank::Something, 64);
        let greedy = enter(&places, 2, Rank::Nothing, 64);
        let rest = [enter(&places, 3, Rank::Something, 44), enter(&places, 4, Rank::Something, 44)];
        assert_eq!(modest.len() + viewer.len() + greedy.len() + 88, MOST_CONNECTIONS);
        assert!(greedy[0].is_asked());
        greedy[0].is_answered();
        assert!(greedy[1].is_asked());
        let more = enter(&places, 5, Rank::Nothing, 2);
        assert_eq!((more.len(), left(&greedy)), (2, vec![2, 3]), "the first was the last to ask, the second waits");
        assert!(left(&modest).is_empty() && left(&viewer).is_empty());
        // Who may do nothing keeps nobody out who may do something.
        for place in modest.iter().chain(&greedy).chain(&more) {
            place.is_asked();
        }
        assert!(places.enter(6, Rank::Nothing).is_err());
        assert!(places.enter(1001, Rank::Something).is_ok());
        assert_eq!((left(&viewer), left(&rest[0])), (vec![0], vec![]));
    }
}
