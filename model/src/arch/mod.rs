//! One architecture each: its tensor names, and its forward pass on a packed batch.

mod bert;
mod stored_bert;

pub(crate) use bert::Bert;
pub(crate) use stored_bert::{
    IGNORED, StoredEmbeddings, StoredHead, StoredLayer, StoredProjection,
};
