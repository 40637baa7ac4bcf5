use super::{megabytes, print};
use crate::cli::CliError;
use crate::hub::{Hub, Settings};

pub(super) fn run() -> Result<(), CliError> {
    let settings = Settings::from_environment().map_err(CliError::Hub)?;
    let cache = settings.cache.display().to_string();
    let models = Hub::new(settings).list().map_err(CliError::Hub)?;
    if models.is_empty() {
        return print(&format!("no models in {cache}; `crossrank model pull ID` fetches one\n"));
    }
    let wide = models.iter().map(|model| model.id.as_str().len()).max().unwrap_or_default();
    for model in models {
        let size = megabytes(model.bytes);
        // What has no weights as safetensors is another tool's.
        let complete = if model.complete { "" } else { "  not whole" };
        let references = model.references.join(", ");
        let line =
            format!("{:wide$}  {}  {size:>10}  {references}{complete}", model.id, model.commit);
        print(&format!("{}\n", line.trim_end()))?;
    }
    Ok(())
}
