//! What has drifted, computed the slow and obvious way: a second opinion on the extension's queue.
//!
//! | file | purpose |
//! |---|---|
//! | `world` | what the database holds, read whole |
//! | `model` | how each install stands, from that alone |
//! | `versions` | which tag a stream's users want |
//! | `random` | random statements that change it all |
//!
//! Nothing here shares code with the extension.

mod model;
mod random;
mod versions;
mod world;

pub use model::Update;
pub use random::{Reach, Statements};
pub use world::{World, tables_as_text};

use crate::assert_same;
use postgres::Client;

/// The updates that wait are those that the model wants, and the view of drift tells the same.
pub fn assert_as_modelled(client: &mut Client, world: &World, when: &str) {
    let wanted = world.wanted();
    assert_same(world::pending(client), wanted, &format!("{when}: updates"));
    let states = world.states();
    assert_same(
        world::shown_states(client),
        states,
        &format!("{when}: states"),
    );
}
