//! Processors without lanes of ours: values that cannot exist, so that nothing else has to know.

use super::Block;

macro_rules! none {
    ($($name:ident)+) => {$(
        #[derive(Debug, Clone, Copy)]
        pub(super) enum $name {}

        impl $name {
            pub(super) fn detect() -> Option<Self> {
                None
            }

            pub(super) fn compress<const N: usize>(
                self,
                _: &mut [[u32; N]; 8],
                _: &[&[Block]; N],
                _: usize,
            ) {
                match self {}
            }
        }
    )+};
}

none!(Avx512 Avx2 ShaNi);
