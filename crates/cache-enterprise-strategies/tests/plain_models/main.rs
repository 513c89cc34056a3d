//! Every policy names the same victims as a plain model of it, which keeps its entries in vectors
//! and looks at all of them: over random requests, removals, updates, weights and new capacities.

#![allow(clippy::unwrap_used)]

mod by_rank;
mod driver;
mod queues;
mod robust;
mod segments;
mod voters;
mod window;
