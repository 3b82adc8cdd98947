//! What changes the lists.

pub(crate) mod crowd;
pub(crate) mod filtering;
pub(crate) mod inside;
pub(crate) mod lists;
pub(crate) mod marks;
pub(crate) mod owned;
