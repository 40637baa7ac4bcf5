use tokenizers::Tokenizer;
use tokenizers::models::unigram::Unigram;

use super::Source;

/// The model without the pieces that spell special tokens, which it would prefer to all others wherever a text has
/// their characters: SentencePiece lists them among its pieces, but takes none of them from a text. Ids stay.
pub(super) fn without_special(model: &Unigram, tokenizer: &Tokenizer) -> Result<Unigram, Source> {
    let mut json = serde_json::to_value(model)?;
    let special = tokenizer.get_added_tokens_decoder();
    let pieces = json.get_mut("vocab").and_then(|pieces| pieces.as_array_mut());
    for (id, piece) in (0u32..).zip(pieces.into_iter().flatten()) {
        let spelt = piece.get_mut(0).filter(|_| special.get(&id).is_some_and(|own| own.special));
        if let Some(spelt) = spelt {
            // No text has a piece without characters.
            *spelt = serde_json::Value::from("");
        }
    }
    // From text: its reader borrows strings.
    Ok(serde_json::from_str(&json.to_string())?)
}
