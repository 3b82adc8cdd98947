//! Units of sizes and rates.

/// In what sizes and rates are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Units {
    /// Powers of 1024: MiB, MiB/s.
    #[default]
    Iec,
    /// Powers of 1000: MB, MB/s.
    Si,
    /// Sizes as with [`Self::Si`], rates in bits: Mbit/s.
    Bits,
}
