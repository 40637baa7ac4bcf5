//! What a template may take.

/// What the fuel of one rendering can pay for is 64 MB; a text that grows takes up to thrice as much.
pub(crate) const BYTES_MAX: usize = 200 << 20;

/// minijinja repeats a list (`*`) without making it, and charges what an operator or a filter makes of it
/// only once that is made. Whoever writes a template can spend a worker's memory so; a passage cannot.
pub(crate) fn is_beyond(source: &str) -> bool {
    source.contains('*') && (source.contains(['~', '|']) || source.contains("debug"))
}
