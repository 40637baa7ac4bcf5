use super::{megabytes, print};
use crate::cli::CliError;
use crate::engine::{Model, ModelFile};
use crate::hub::{self, BUNDLED, Hub, HubError, Settings};

/// Hexadecimal digits by which content is told, as in answers.
const HASH_DIGITS: usize = 16;
/// Of a commit.
const COMMIT_DIGITS: usize = 40;

pub(super) fn run() -> Result<(), CliError> {
    let settings = Settings::from_environment().map_err(CliError::Hub)?;
    let cache = settings.cache.display().to_string();
    let models = Hub::new(settings).list().map_err(CliError::Hub)?;
    if let Some(model) = Model::bundled() {
        print(&inside(&model).map_err(CliError::Hub)?)?;
    }
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

/// The line of the model that ships inside.
fn inside(model: &Model) -> Result<String, HubError> {
    let hash: String = hub::sha256(&model.directory)?.chars().take(HASH_DIGITS).collect();
    let revision = format!("sha256:{hash}");
    let bytes =
        ModelFile::open(&model.directory, "model.safetensors").and_then(|file| file.size_bytes());
    let size = megabytes(bytes.unwrap_or_default());
    Ok(format!("{BUNDLED}  {revision:COMMIT_DIGITS$}  {size:>10}  ships inside\n"))
}
