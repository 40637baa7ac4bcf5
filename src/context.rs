//! (context)
