//! A record's way from claim to commit.

mod settings;

pub use settings::Settings;
