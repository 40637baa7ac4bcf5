//! Results → the text a prompt carries. Pure: knows no broker, no model, no wire format.

mod assembler;
mod duplicates;
mod settings;
mod template;

pub use assembler::{AssembleError, Assembler, Duplicate, Passage, PromptContext, TokenCounter};
pub use settings::{Order, Settings};
pub use template::{Template, TemplateError};
