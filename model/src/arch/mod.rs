//! One file per architecture: its tensor names, and its forward pass on a packed batch.

mod bert;

pub(crate) use bert::{Bert, Tokens};
