//! What is logged: by defmt with the feature of that name, else nothing. No other file knows of either.
//!
//! Arguments have a type in the text (`{=u32}`, `{=usize}`, `{=str}`), so that what is sent is as small as it can be.

macro_rules! info {
    ($text:literal $(, $value:expr)* $(,)?) => {{
        #[cfg(feature = "defmt")]
        defmt::info!($text $(, $value)*);
        #[cfg(not(feature = "defmt"))]
        { $(let _ = $value;)* }
    }};
}

macro_rules! error {
    ($text:literal $(, $value:expr)* $(,)?) => {{
        #[cfg(feature = "defmt")]
        defmt::error!($text $(, $value)*);
        #[cfg(not(feature = "defmt"))]
        { $(let _ = $value;)* }
    }};
}
