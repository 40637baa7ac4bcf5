//! (rank)
