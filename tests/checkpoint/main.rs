//! Tests of checkpoints: whole or absent, and nothing in them trusted.

mod common;
mod damage;
mod failure;
mod folders;
mod kill;
mod names;
mod plan;
mod round_trip;
