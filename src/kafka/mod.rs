//! The only room that names rdkafka.

mod settings;

pub use settings::{Credentials, Sasl, Secret, Security, Settings};
