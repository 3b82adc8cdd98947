//! x
pub async fn run(_: crate::args::Demo) -> u8 {
    0
}
