//! Results → the text a prompt carries. Pure: knows no broker, no model, no wire format.

mod settings;

pub use settings::{Order, Settings};
